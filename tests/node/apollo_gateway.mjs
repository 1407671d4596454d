// @apollo/gateway as the router before the accounts graph and another subgraph: it composes them at its start and passes its
// callers' `Authorization` on. Ends when its standard input does.
import { ApolloGateway, IntrospectAndCompose, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';

const { ACCOUNTS, WHATSAPP, ROUTER } = process.env;
process.stdin.on('end', () => process.exit(0)).resume();

// What tells a router from a person, for this subgraph alone.
const router = ({ name }) => (name === 'accounts' && ROUTER ? { 'accounts-center-router': ROUTER } : {});

const gateway = new ApolloGateway({
  supergraphSdl: new IntrospectAndCompose({
    subgraphs: [{ name: 'accounts', url: ACCOUNTS }, { name: 'whatsapp', url: WHATSAPP }],
    introspectionHeaders: router,
  }),
  buildService: (definition) => new RemoteGraphQLDataSource({
    url: definition.url,
    willSendRequest({ request, context }) {
      const { authorization, address } = context;
      const own = definition.name === 'accounts' ? { 'x-forwarded-for': address } : {};
      const headers = { ...router(definition), ...own, authorization };
      for (const [name, value] of Object.entries(headers)) if (value) request.http.headers.set(name, value);
    },
  }),
});

const { url } = await startStandaloneServer(new ApolloServer({ gateway }), {
  listen: { host: '127.0.0.1', port: 0 },
  context: async ({ req }) => ({ authorization: req.headers.authorization, address: req.socket.remoteAddress }),
});
console.log(`router listens on ${url}`);
