/** An object whose properties are reactive, for the properties of a component. */
export const reactive = <Props extends object>(first: Props): Props => {
  const props = $state(first)
  return props
}
