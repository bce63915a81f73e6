// The session that a client asks to resume: by a subprotocol, or by parameters of the URL, as Azure's clients do.
import { RESUME_PROTOCOL } from '../reliable/frames.js'
import type { RequestLike } from './origin.js'

/** The id and the token with which a client resumes a session. */
export interface Recovery {
  readonly id: string
  readonly token: string
}

const ID = 'awps_connection_id'
const TOKEN = 'awps_reconnection_token'
const HEADER = 'sec-websocket-protocol'
const REDACTED = 'redacted'

const isResumeProtocol = (name: string): boolean => name.trim().startsWith(RESUME_PROTOCOL)

const fromProtocols = (offered: unknown): Recovery | undefined => {
  const name = String(offered ?? '')
    .split(',')
    .find(isResumeProtocol)
  if (name === undefined) return undefined
  const [id = '', token = ''] = name.trim().slice(RESUME_PROTOCOL.length).split('.')
  return { id, token }
}

const fromUrl = (url: string): Recovery | undefined => {
  const start = url.indexOf('?')
  const parameters = new URLSearchParams(start < 0 ? '' : url.slice(start + 1))
  const id = parameters.get(ID)
  const token = parameters.get(TOKEN)
  return id === null && token === null ? undefined : { id: id ?? '', token: token ?? '' }
}

/** The URL without the token. The name may be percent-encoded. */
const redactUrl = (url: string): string =>
  url.replace(/([?&])([^=&]*)=[^&]*/g, (all, mark: string, name: string) =>
    new URLSearchParams(`${name}=`).has(TOKEN) ? `${mark}${name}=${REDACTED}` : all,
  )

/** The offered subprotocols without the token. */
const redactProtocols = (offered: string): string =>
  offered.replace(/(^|,)(\s*)resume\.[^,]*/g, `$1$2${RESUME_PROTOCOL}${REDACTED}`)

/**
 * Reads which session the client asks to resume, and replaces the token in the request: the application's functions get the request, and
 * may log it. The same object, because the application may have remembered something about it.
 */
export const takeRecovery = (request: RequestLike): Recovery | undefined => {
  const { url = '', headers } = request
  const offered = headers[HEADER]
  const recovery = fromProtocols(offered) ?? fromUrl(url)
  if (!recovery) return undefined
  // A frozen object cannot be changed.
  Reflect.set(request, 'url', redactUrl(url))
  if (typeof offered !== 'string') return recovery
  Reflect.set(headers, HEADER, redactProtocols(offered))
  const { rawHeaders } = request as { rawHeaders?: string[] }
  rawHeaders?.forEach((value, i) => {
    if (rawHeaders[i - 1]?.toLowerCase() === HEADER) rawHeaders[i] = redactProtocols(value)
  })
  return recovery
}
