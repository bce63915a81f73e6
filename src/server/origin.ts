// A server must prevent cross-site WebSocket hijacking itself: a browser lets any page open a WebSocket to any host, with the host's
// cookies. https://datatracker.ietf.org/doc/html/rfc6455#section-10.2

/** The part of Node's `IncomingMessage` that the server reads. */
export interface RequestLike {
  readonly url?: string | undefined
  readonly headers: {
    readonly origin?: string | undefined
    readonly host?: string | undefined
    readonly [name: string]: string | string[] | undefined
  }
}

/** The pages that may connect: a list of origins, or a function that decides. */
export type Origins<Request> =
  | readonly string[]
  | ((origin: string | undefined, request: Request) => boolean | PromiseLike<boolean>)

const parse = (url: string): URL | undefined => {
  try {
    return new URL(url)
  } catch {
    return undefined
  }
}

/** Whether the name cannot be pointed elsewhere by DNS: it is `localhost`, or an IP address. */
const isFixed = (hostname: string): boolean =>
  /(^|\.)localhost$/.test(hostname) || /^\d+\.\d+\.\d+\.\d+$/.test(hostname) || hostname.startsWith('[')

/**
 * Whether a page connects to its own host. The schemes are not compared, because a proxy in front often terminates TLS. Without TLS, the host
 * name of a page proves nothing: an attacker on the network can serve such a page, and the owner of a name can point it at another server
 * (DNS rebinding).
 */
// https://cheatsheetseries.owasp.org/cheatsheets/WebSocket_Security_Cheat_Sheet.html
const isSameHost = (origin: string, host: string | undefined): boolean => {
  const page = parse(origin)
  const isSame = !!page?.host && !!host && page.host === parse(`${page.protocol}//${host}`)?.host
  return isSame && (page.protocol !== 'http:' || isFixed(page.hostname))
}

/** Throws a `TypeError` for a list with an entry that cannot match. */
export const originCheck = <Request extends RequestLike>(
  origins: Origins<Request> | undefined,
): ((request: Request) => boolean | PromiseLike<boolean>) => {
  if (typeof origins === 'function') return request => origins(request.headers.origin, request)
  if (origins !== undefined && !Array.isArray(origins))
    throw new TypeError('origins must be a list or a function')
  for (const origin of origins ?? []) {
    // The URL parser accepts `*` as a letter, but a reader expects a wildcard.
    if (parse(origin)?.origin !== origin || origin.includes('*')) {
      throw new TypeError(`origins: '${origin}' is not an origin such as 'https://app.example.com'`)
    }
  }
  return ({ headers: { origin, host } }) =>
    // Browsers always send the header, and no page can forge it. Other programs can, but gain nothing by it.
    origin === undefined || (origins ? origins.includes(origin) : isSameHost(origin, host))
}
