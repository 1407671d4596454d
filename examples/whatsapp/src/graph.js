// The graph: what `schema.graphql` promises.
import { readFileSync } from 'node:fs';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { GraphQLError, parse } from 'graphql';
import { deviceById, devicesOf, follow } from './devices.js';
import { isShown, show } from './shown.js';

// The platform whose profiles are known here.
const PLATFORM = 'whatsapp';

const SENTENCES = {
  UNAUTHENTICATED: 'A token of the Accounts Center for this subgraph is needed.',
  SERVICE_UNAVAILABLE: 'Tokens cannot be verified now.',
  FORBIDDEN: 'Ask for the devices of this profile first.',
  CURSOR_EXPIRED: 'Ask for the devices anew, and follow from now on.',
};

const failed = (code) => new GraphQLError(SENTENCES[code], { extensions: { code } });

// The account that is asked for, or an error.
function accountOf({ caller }) {
  if (!caller.account) throw failed(caller.refused ?? 'UNAUTHENTICATED');
  return caller.account;
}

const profileOf = ({ externalId }) => ({ __typename: 'LinkedProfile', platformKey: PLATFORM, externalId });

const resolvers = {
  Query: {
    whatsappDevice(_, { id }, context) {
      const account = accountOf(context);
      const device = deviceById(id);
      return device && isShown(account, device.externalId) ? device : null;
    },
  },
  LinkedProfile: {
    // The router has the key from the accounts graph, which shows a profile to nobody but its owner.
    __resolveReference({ platformKey, externalId }, { caller }) {
      if (caller.account && platformKey === PLATFORM) show(caller.account, externalId);
      return { platformKey, externalId };
    },
    devices({ platformKey, externalId }, _, context) {
      accountOf(context);
      return platformKey === PLATFORM ? devicesOf(externalId) : null;
    },
  },
  WhatsappDevice: {
    __resolveReference({ id }, context) {
      return resolvers.Query.whatsappDevice(null, { id }, context);
    },
    profile: profileOf,
  },
  Subscription: {
    whatsappDeviceChanged: {
      subscribe(_, { externalId, after }, context) {
        const account = accountOf(context);
        const mayGoOn = () => isShown(account, externalId);
        if (!mayGoOn()) throw failed('FORBIDDEN');
        return follow({ externalId, after, mayGoOn });
      },
      resolve(change) {
        if (change.refused) throw failed(change.refused);
        return change;
      },
    },
  },
};

const typeDefs = parse(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'));

export const schema = buildSubgraphSchema([{ typeDefs, resolvers }]);
