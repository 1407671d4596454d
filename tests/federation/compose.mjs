// Composes each folder beside this file into a supergraph of the same name: `npm install && npm run compose`.
// The supergraphs are checked in, so that the tests need neither Node nor this.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { composeServices } from "@theguild/federation-composition";
import { parse } from "graphql";

const here = import.meta.dirname;
const folders = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "node_modules");
for (const { name } of folders) {
  const services = readdirSync(join(here, name)).sort().map((file) => {
    const service = file.replace(/\.graphql$/, "");
    // Nobody is there: the tests say where each one is.
    return { name: service, url: `http://${service}.test/`, typeDefs: parse(readFileSync(join(here, name, file), "utf8")) };
  });
  const { errors, supergraphSdl } = composeServices(services);
  if (errors?.length) {
    throw new Error(`${name}: ${errors.map((error) => error.message).join("; ")}`);
  }
  writeFileSync(join(here, `${name}.graphql`), `${supergraphSdl.trim()}\n`);
  console.log(`${name}: ${services.length} subgraphs`);
}
