/** A name that looks like a server on the internet, and that the engines resolve to this machine. */
export const FAR_HOST = 'push.example.com'
