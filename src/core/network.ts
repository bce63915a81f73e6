/**
 * Whether an address is on this machine or in a private network. Such a server has few clients, and can be reachable while the browser
 * reports that there is no network.
 */
// https://www.rfc-editor.org/rfc/rfc1918, rfc3927, rfc4193 and rfc6761; .local: rfc6762; home.arpa: rfc8375; .internal: reserved by ICANN in 2024
export const isLocal = (url: string): boolean => {
  const host = /^\w+:\/\/(\[[^\]]*\]|[^/:?#]*)/.exec(url)?.[1] ?? ''
  return (
    /(^|\.)(localhost|local|lan|internal|home\.arpa)$/.test(host) ||
    /^(127|10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))(\.\d+){2,3}$/.test(host) ||
    /^\[(::1|f[cd][\da-f]{2}:.*|fe80:.*)\]$/.test(host)
  )
}
