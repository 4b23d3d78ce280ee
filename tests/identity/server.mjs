// A certified identity provider for the tests of tokens: client credentials, and keys that change.
// node server.mjs PORT: says "listening" once it does. POST /rotate signs with another key.
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const port = Number(process.argv[2])
const issuer = `http://127.0.0.1:${port}`
const SCOPES = 'payments:read payments:write refunds:write payments:admin'
let keys = []
let answer

function rotate() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const made = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' }
  keys = [made, ...keys].slice(0, 2) // the first one signs
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'trip-service',
      client_secret: 'a-secret-of-tests',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: []
    }],
    scopes: SCOPES.split(' '),
    jwks: { keys },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:payments',
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
  answer = provider.callback()
}

rotate()
createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    rotate()
    response.end('{}')
  } else {
    answer(request, response)
  }
}).listen(port, '127.0.0.1', () => console.log('listening'))
