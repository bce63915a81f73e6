/**
 * How many times longer the work takes for ten times as many items: about 10 if it is linear, 100 if it is quadratic. Measures the processor
 * time of this process, which does not depend on the load of the machine.
 */
export const growth = async (work: (count: number) => unknown, count: number): Promise<number> => {
  const timeOf = async (count: number) => {
    const before = process.cpuUsage()
    await work(count)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  // The first run is not measured, because it includes compilation.
  await work(count)
  const few = Math.min(await timeOf(count), await timeOf(count), await timeOf(count))
  return (await timeOf(10 * count)) / few
}
