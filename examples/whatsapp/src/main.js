// Starts the subgraph: `npm start`.
import { serve } from './server.js';

const { env } = process;

function seconds(name, otherwise) {
  const value = Number(env[name] ?? otherwise);
  if (!(value > 0 && value <= 86_400)) {
    console.error(`${name} is ${env[name]}; it must be seconds, from 1 to 86400`);
    process.exit(1);
  }
  return value;
}

const server = await serve({
  host: env.HOST ?? '127.0.0.1',
  port: Number(env.PORT ?? 4002),
  // Where the keys are that its tokens are signed with.
  accountsUrl: env.ACCOUNTS_URL ?? 'http://127.0.0.1:4000',
  // `sessions.issuer` of the Accounts Center.
  issuer: env.ISSUER ?? 'accounts-center',
  // The name that this subgraph has in `[gateway.subgraphs]`.
  audience: env.AUDIENCE ?? 'whatsapp',
  // How long a subscription may go on.
  followSeconds: seconds('FOLLOW_SECONDS', 3600),
});
console.log(`WhatsApp listens on ${server.url}`);

process.once('SIGTERM', server.stop);
process.once('SIGINT', server.stop);
// For whoever starts it and may be killed: a test.
if (env.END_WITH_STDIN) {
  process.stdin.on('end', server.stop).on('error', server.stop).resume();
}
