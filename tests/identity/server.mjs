// A certified identity provider for the tests: client credentials, the code flow with a page where
// one says who one is, and keys that change. node server.mjs PORT: says "listening" once it does.
// POST /rotate signs with another key; POST /people {"name": ["role"]} says who has which roles.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const port = Number(process.argv[2])
const issuer = `http://127.0.0.1:${port}`
const SCOPES = 'payments:read payments:write refunds:write payments:admin'
const PANEL = 'payments-panel'
const PEOPLE = 'openid profile email'
const BACK = /^http:\/\/localhost:\d+\/admin\/sso\/callback$/
const INTERACTION = '/interaction/'
const cookies = { keys: [randomUUID()] }
let keys = []
let people = {}
let provider
let handle

function rotate() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const made = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' }
  keys = [made, ...keys].slice(0, 2) // the first one signs
  provider = new Provider(issuer, {
    clients: [{
      client_id: 'trip-service',
      client_secret: 'a-secret-of-tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: []
    }, {
      client_id: PANEL,
      client_secret: 'a-secret-of-the-panel',
      grant_types: ['authorization_code'],
      redirect_uris: ['http://localhost/admin/sso/callback'],
      response_types: ['code']
    }],
    scopes: [...SCOPES.split(' '), ...PEOPLE.split(' ')],
    claims: { openid: ['sub'], profile: ['name', 'roles'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false, // they are wanted in the ID token
    jwks: { keys },
    cookies,
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@example.com`,
        email_verified: true,
        name: id,
        roles: people[id] ?? []
      })
    }),
    loadExistingGrant: async (ctx) => { // nobody is asked whether the panel may know
      const { client, session } = ctx.oidc
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
      grant.addOIDCScope(PEOPLE)
      await grant.save()
      return grant
    },
    interactions: { url: (ctx, interaction) => `${INTERACTION}${interaction.uid}` },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx, client) => client.clientId === PANEL ? undefined : 'urn:payments',
        getResourceServerInfo: () => ({
          scope: SCOPES,
          audience: 'payment-service',
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } }
        })
      }
    }
  })
  // A test's panel is on any port of this machine.
  provider.Client.prototype.redirectUriAllowed = (uri) => BACK.test(uri)
  handle = provider.callback()
}

async function bodyOf(request) {
  let body = ''
  for await (const chunk of request) body += chunk
  return body
}

async function ask(request, response) {
  if (request.method === 'POST') {
    const form = new URLSearchParams(await bodyOf(request))
    const result = form.has('refuse')
      ? { error: 'access_denied' }
      : { login: { accountId: form.get('person') } }
    await provider.interactionFinished(request, response, result)
  } else {
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(`<!doctype html><html lang="en"><title>Who are you?</title>
      <link rel="icon" href="data:,"><form method="post">
      <label>Who are you? <input name="person"></label> <button>Log in</button>
      <button name="refuse" value="1">Go back</button></form></html>`)
  }
}

async function answer(request, response) {
  if (request.method === 'POST' && request.url === '/rotate') {
    rotate()
    response.end('{}')
  } else if (request.method === 'POST' && request.url === '/people') {
    people = JSON.parse(await bodyOf(request))
    response.end('{}')
  } else if (request.url.startsWith(INTERACTION)) {
    await ask(request, response)
  } else {
    await handle(request, response)
  }
}

rotate()
createServer((request, response) => {
  answer(request, response).catch((error) => {
    response.statusCode = 500
    response.end(String(error))
  })
}).listen(port, '127.0.0.1', () => console.log('listening'))
