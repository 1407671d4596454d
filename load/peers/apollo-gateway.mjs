// @apollo/gateway over a supergraph: `node apollo-gateway.mjs SUPERGRAPH PORT`. A peer of `load federation` and `load crossing`.
// With a token in `ROUTER` it shows that to the subgraph `accounts`, and passes its callers' `Authorization` on.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { ApolloGateway, RemoteGraphQLDataSource } from "@apollo/gateway";
import { ApolloServer, HeaderMap } from "@apollo/server";

const [supergraph, port] = process.argv.slice(2);
const { ROUTER } = process.env;
const buildService = ({ name, url }) => new RemoteGraphQLDataSource({
  url,
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set("authorization", context.authorization);
    if (name === "accounts") request.http.headers.set("accounts-center-router", ROUTER);
  },
});
const supergraphSdl = readFileSync(supergraph, "utf8");
const gateway = new ApolloGateway(ROUTER ? { supergraphSdl, buildService } : { supergraphSdl });
const apollo = new ApolloServer({ gateway });
await apollo.start();

const server = createServer(async (request, response) => {
  if (request.url === "/live") {
    response.end();
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  const answer = await apollo.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method: "POST", headers, search: "", body: JSON.parse(Buffer.concat(chunks).toString()) },
    context: async () => (ROUTER ? { authorization: request.headers.authorization } : {}),
  });
  response.writeHead(answer.status ?? 200, Object.fromEntries(answer.headers));
  response.end(answer.body.string);
});
server.listen(Number(port), "127.0.0.1");
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
