// Ids and tokens, generated with Web Crypto: a global in every supported version of Node.

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...Array.from(bytes)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')

/** Returns 128 random bits as text that needs no encoding in a URL. */
export const randomName = (): string => base64url(crypto.getRandomValues(new Uint8Array(16)))

/**
 * Returns the digest that stores keep instead of a token. Digests need not be compared in constant time, because a partial match reveals nothing
 * about the token. Somebody who can read the store cannot resume a session.
 */
export const digest = async (token: string): Promise<string> =>
  base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))))
