// Defines globals that some of the libraries need when they are imported, and that Node lacks. Import this module first. It changes nothing in a
// browser.

// robust-websocket reads `navigator` when it is loaded, and Node 20 has none.
globalThis.navigator ??= { onLine: true }

// Several libraries create a CloseEvent when a connection ends. Node has this class since version 23.
globalThis.CloseEvent ??= class CloseEvent extends Event {
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type)
    Object.assign(this, { code, reason, wasClean })
  }
}
