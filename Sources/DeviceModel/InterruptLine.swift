// A wire with a level, from a device to an input of an interrupt controller or of a hart.

package final class InterruptLine: @unchecked Sendable {
    private let monitor = Monitor()
    private var isHigh = false
    private let sink: (Bool) -> Void

    /// `sink` is told every change, in order, on the thread that made it.
    package init(_ sink: @escaping (Bool) -> Void) { self.sink = sink }

    /// A wire that ends nowhere.
    package convenience init() { self.init { _ in } }

    /// Setting it to what it is costs little.
    package var level: Bool {
        get { monitor.locked { isHigh } }
        set {
            monitor.locked {
                guard isHigh != newValue else { return }
                isHigh = newValue
                sink(newValue)
            }
        }
    }

    /// A message: high and low again, for inputs that look at the edge.
    package func pulse() {
        level = true
        level = false
    }
}
