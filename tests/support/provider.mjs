// The real `oidc-provider` on a loopback address, for provider.rs, which passes everything in one JSON argument.

import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const library = join(settings.modules, 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(library));

// Whoever started us holds the other end. It closes when they are killed, and then nobody else tidies up.
process.stdin.on('close', () => {
  rmSync(settings.folder, { recursive: true, force: true });
  process.exit(1);
});
process.stdin.resume();

// Kept in a file, so that a provider that was restarted still stands by what it has signed.
const keys = join(settings.folder, 'jwks.json');
if (!existsSync(keys)) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' };
  writeFileSync(keys, JSON.stringify({ keys: [jwk] }));
}

// Read at every login, because a test may change what a user is while we run.
const bent = (login) => JSON.parse(readFileSync(join(settings.folder, 'users.json'), 'utf8'))[login] ?? {};

// A claim that was bent to null is left out.
const account = (login) => {
  const usual = {
    sub: login,
    name: login,
    email: login.includes('@') ? login : `${login}@example.com`,
    email_verified: !login.startsWith('unverified'),
    groups: login.startsWith('admin') ? ['dev', 'ops'] : ['dev'],
  };
  const claims = Object.entries({ ...usual, ...bent(login) });
  return Object.fromEntries(claims.filter(([, value]) => value !== null));
};

const provider = new Provider(settings.issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: settings.client_auth,
    },
  ],
  // Discovery offers this one alone, so a client that ignores discovery is found out.
  clientAuthMethods: [settings.client_auth],
  scopes: ['openid', 'email', 'profile', 'groups'],
  // Groups come with the profile, too: some providers have a scope for them, and some have none.
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'groups'],
    groups: ['groups'],
  },
  // True is the letter of the standard: with a code, claims come from the userinfo endpoint alone.
  conformIdTokenClaims: settings.userinfo_only,
  findAccount: (_, login) => ({ accountId: login, claims: () => account(login) }),
  pkce: { required: () => true },
  jwks: JSON.parse(readFileSync(keys, 'utf8')),
  cookies: { keys: ['one key for all cookies of the tests'] },
});

// No query is logged: codes are in there.
provider.use(async (ctx, next) => {
  await next();
  console.log(`${ctx.method} ${ctx.path} ${ctx.status}`);
});
for (const event of ['authorization.error', 'grant.error', 'userinfo.error', 'server_error']) {
  provider.on(event, (_, error) => console.log(`${event}: ${error.message} ${error.error_description ?? ''}`));
}

const { hostname, port } = new URL(settings.issuer);
createServer(provider.callback()).listen({ host: '127.0.0.1', port: Number(port) }, () => {
  console.log(`listening as ${hostname}`);
});
