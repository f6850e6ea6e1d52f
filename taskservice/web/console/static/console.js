// What every page needs: times that move on, rows that live, dialogs.

import "./times.js";
import "./events.js";
import "./dialogs.js";
import "./forms.js";
