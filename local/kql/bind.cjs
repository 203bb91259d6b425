// Binds KQL with Microsoft's own binder.
// Standard input: {"tables": {name: {column: type}}, "texts": {name: {"text", "source"?: {column: type}}}}; a text with a
// source is a transform. Standard output: {name: {"faults": [text], "columns": {column: type}}}.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

// The package is translated from .NET: it hangs its names on the global object, and its runtime comes first.
const requireTool = createRequire(`${process.argv[2]}/`);
requireTool("@kusto/language-service-next/bridge.min.js");
requireTool("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

const quoted = (name) => `['${name}']`;

function table(name, columns) {
  const schema = Object.entries(columns).map(([column, type]) => `${quoted(column)}: ${type}`);
  return new Symbols.TableSymbol.$ctor7(name, `(${schema.join(", ")})`, null);
}

function database(tables) {
  const symbols = Object.entries(tables).map(([name, columns]) => table(name, columns));
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));
}

function list(things) {
  return Array.from({ length: things.Count }, (_, index) => things.getItem(index));
}

function bind(workspace, { text, source }) {
  const code = KustoCode.ParseAndAnalyze(text, source ? database({ source }) : workspace);
  const faults = list(code.GetDiagnostics()).map(
    ({ Code, Message, Start }) => `${Code} at character ${Start}: ${Message}`,
  );
  const columns = code.ResultType?.Columns ? list(code.ResultType.Columns) : [];
  return { faults, columns: Object.fromEntries(columns.map(({ Name, Type }) => [Name, Type.Name])) };
}

const { tables, texts } = JSON.parse(readFileSync(0, "utf8"));
const workspace = database(tables);
const bound = Object.entries(texts).map(([name, text]) => [name, bind(workspace, text)]);
process.stdout.write(JSON.stringify(Object.fromEntries(bound)));
