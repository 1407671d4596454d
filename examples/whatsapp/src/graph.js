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
  FORBIDDEN: 'This profile is not one of yours, or was followed for long enough: ask for its devices first.',
  CURSOR_EXPIRED: 'Ask for the devices anew, and follow from now on.',
};

const failed = (code) => new GraphQLError(SENTENCES[code], { extensions: { code } });

// The account that is asked for, or an error.
function accountOf({ caller }) {
  if (!caller.account) throw failed(caller.refused ?? 'UNAUTHENTICATED');
  return caller.account;
}

// Whether the account has this profile. A router's word for it would not do: the key may come from another subgraph than the
// accounts graph. Where the token does not say it, what the router has looked up for the account lately has to stand for it.
function owns(caller, externalId) {
  if (caller.profiles) return caller.profiles[PLATFORM]?.includes(externalId) ?? false;
  return isShown(caller.account, externalId);
}

const profileOf = ({ externalId }) => ({ __typename: 'LinkedProfile', platformKey: PLATFORM, externalId });

const resolvers = {
  Query: {
    whatsappDevice(_, { id }, context) {
      accountOf(context);
      const device = deviceById(id);
      return device && owns(context.caller, device.externalId) ? device : null;
    },
  },
  LinkedProfile: {
    __resolveReference({ platformKey, externalId }, { caller }) {
      if (caller.account && !caller.profiles && platformKey === PLATFORM) show(caller.account, externalId);
      return { platformKey, externalId };
    },
    devices({ platformKey, externalId }, _, context) {
      accountOf(context);
      return platformKey === PLATFORM && owns(context.caller, externalId) ? devicesOf(externalId) : null;
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
        accountOf(context);
        const { caller, followSeconds } = context;
        const mayGoOn = () => owns(caller, externalId);
        if (!mayGoOn()) throw failed('FORBIDDEN');
        // A token is good for the beginning, and the profile may leave the account meanwhile.
        return follow({ externalId, after, until: Date.now() + followSeconds * 1000, mayGoOn });
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
