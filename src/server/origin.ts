// Cross-site WebSocket hijacking is the server's to prevent: a browser lets any page open a WebSocket to any host, with the
// host's cookies. https://datatracker.ietf.org/doc/html/rfc6455#section-10.2

/** What is asked of a request: the part of Node's `IncomingMessage` that we look at. */
export interface RequestLike {
  readonly url?: string | undefined
  readonly headers: {
    readonly origin?: string | undefined
    readonly host?: string | undefined
    readonly [name: string]: string | string[] | undefined
  }
}

/** Which pages may connect: a list of origins, or a function. */
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

/** The page's own host is where it wants to go. The scheme is not compared: TLS often ends at a proxy before us. */
const isSameHost = (origin: string, host: string | undefined): boolean => {
  const page = parse(origin)
  return !!page?.host && !!host && page.host === parse(`${page.protocol}//${host}`)?.host
}

/** Throws a TypeError for a list that can match nothing. */
export const originCheck = <Request extends RequestLike>(
  origins: Origins<Request> | undefined,
): ((request: Request) => boolean | PromiseLike<boolean>) => {
  if (typeof origins === 'function') return request => origins(request.headers.origin, request)
  for (const origin of origins ?? []) {
    // `*` is a letter to the parser of URLs, and a promise to the reader.
    if (parse(origin)?.origin !== origin || origin.includes('*')) {
      throw new TypeError(`origins: '${origin}' is no origin such as 'https://app.example.com'`)
    }
  }
  return ({ headers: { origin, host } }) =>
    // Browsers always send it, and no page can forge it. Other programs can, and gain nothing by it.
    origin === undefined || (origins ? origins.includes(origin) : isSameHost(origin, host))
}
