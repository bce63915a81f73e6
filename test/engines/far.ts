/** A host name that looks like a server on the internet. The engines are configured to resolve it to this machine. */
export const FAR_HOST = 'push.example.com'
