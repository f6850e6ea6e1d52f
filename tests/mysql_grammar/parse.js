// Reads a list of statements as JSON from standard input, and writes a list as long: null for one
// that MySQL 8 would read, else why not.
const Parser = require("ts-mysql-parser").default;

const parser = new Parser({ version: "8.0.32" });

function fault(statement) {
  const { parserError, lexerError } = parser.parse(statement);
  const error = parserError || lexerError;
  return error ? String(error.message || error) : null;
}

const statements = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(statements.map(fault)));
