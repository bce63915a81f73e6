// Ids and tokens. Web Crypto, which every Node that we run on has as a global.

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...Array.from(bytes)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')

/** 128 random bits, in letters that a URL takes as they are. */
export const randomName = (): string => base64url(crypto.getRandomValues(new Uint8Array(16)))

/**
 * What stores keep in place of a token. Comparing digests may take as long as it likes: how far two of them agree tells nothing
 * about the token, and whoever reads the store cannot resume a session with what is there.
 */
export const digest = async (token: string): Promise<string> =>
  base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))))
