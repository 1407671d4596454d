// Operations to begin with. `variables(seen)` is called at each click; `seen` holds what earlier answers
// brought (`linkVerification`, `signInVerification`, `clientSecret`, `eventCursor`). `select` is the part of
// the variables that the person has to replace.

// The sandbox begins with these: a profile that nobody has linked, and that of the demo account.
const FREE_NUMBER = '+4917139200042';
const DEMO_NUMBER = '+4917139200001';
const CODE = '000000';

export const examples = [
  {
    title: 'My hub',
    hint: 'The account, its profiles and the version of their graph',
    operation: `query Hub {
  viewer {
    id
    displayName
    version
    eventCursor
    profiles {
      id
      handle
      displayName
      status
      platform { displayName }
    }
    linkGraph { version }
  }
}`,
  },
  {
    title: 'Platforms',
    hint: 'What can be linked, and how it is proved',
    operation: `query Platforms {
  platforms {
    key
    displayName
    capabilities
    verificationMethods
    endToEndEncrypted
  }
}`,
  },
  {
    title: 'Link WhatsApp: start',
    hint: `Sends a code to the sandbox phone ${FREE_NUMBER}`,
    operation: `mutation StartLink($input: StartProfileLinkInput!) {
  startProfileLink(input: $input) {
    verification {
      id
      status
      challenge {
        ... on OneTimeCodeChallenge { destination attemptsLeft resendAvailableAt }
      }
    }
    userErrors { code message path }
  }
}`,
    variables: () => ({
      input: {
        platform: 'whatsapp',
        proof: { oneTimeCode: { handle: FREE_NUMBER } },
        idempotencyKey: randomKey(),
      },
    }),
  },
  {
    title: 'Link WhatsApp: submit the code',
    hint: 'Put in the code that the phone shows',
    operation: `mutation SubmitCode($input: SubmitVerificationInput!) {
  submitVerification(input: $input) {
    verification {
      id
      status
      failure
      challenge { ... on OneTimeCodeChallenge { attemptsLeft } }
    }
    outcome {
      ... on ProfileLinked { profile { id handle displayName status } }
    }
    account { version linkGraph { version } }
    userErrors { code message path }
  }
}`,
    variables: (seen) => ({
      input: {
        verificationId: seen.linkVerification ?? '<from the step before>',
        proof: { oneTimeCode: CODE },
      },
    }),
    select: CODE,
  },
  {
    title: 'Live: link status',
    hint: 'Each change as it happens; continues by itself after a restart',
    operation: `subscription LinkStatus($after: String) {
  linkStatusChanged(after: $after) {
    cursor
    occurredAt
    profile { id handle platform { displayName } }
    previousLinkStatus
    linkStatus
    reason
    graphVersion
  }
}`,
    variables: (seen) => ({ after: seen.eventCursor ?? null }),
  },
  {
    title: 'Sign in by code: start',
    hint: `Needs no token; sends a code to ${DEMO_NUMBER}`,
    operation: `mutation StartSignIn($input: StartSignInInput!) {
  startSignIn(input: $input) {
    verification {
      id
      status
      challenge {
        ... on OneTimeCodeChallenge { destination attemptsLeft resendAvailableAt }
      }
    }
    clientSecret
    userErrors { code message path }
  }
}`,
    variables: () => ({
      input: { platform: 'whatsapp', proof: { oneTimeCode: { handle: DEMO_NUMBER } } },
    }),
  },
  {
    title: 'Sign in by code: submit it',
    hint: 'Gives a token, which this page can then use',
    operation: `mutation FinishSignIn($input: SubmitVerificationInput!) {
  submitVerification(input: $input) {
    verification {
      id
      status
      failure
      challenge { ... on OneTimeCodeChallenge { attemptsLeft } }
    }
    outcome {
      ... on SignedIn {
        accountCreated
        account { id displayName }
        tokens { accessToken accessTokenExpiresAt }
      }
    }
    userErrors { code message path }
  }
}`,
    variables: (seen) => ({
      input: {
        verificationId: seen.signInVerification ?? '<from the step before>',
        clientSecret: seen.clientSecret ?? '<from the step before>',
        proof: { oneTimeCode: CODE },
      },
    }),
    select: CODE,
  },
];

// crypto.randomUUID is missing where the page is served over plain HTTP from another machine.
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
