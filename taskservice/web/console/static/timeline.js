// Time goes on: the chart is fetched anew every minute.

import { touch } from "./events.js";

setInterval(() => document.hidden || touch(["timeline"]), 60000);
