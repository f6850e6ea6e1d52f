// Workers come and go without an event: the page is fetched anew every five seconds.

import { touch } from "./events.js";

setInterval(() => document.hidden || touch(["workers"]), 5000);
