// Under `LANG=C` WebKitGTK's language is "c": none that `Intl` knows, so uPlot would not start.
try {
  new Intl.NumberFormat(navigator.language)
} catch {
  Object.defineProperty(navigator, 'language', { value: 'en' })
}
