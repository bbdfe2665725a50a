// A device is a window of registers that knows offsets into itself, and not where it lives.

/// Where a board put a device, for the device's node in the device tree.
package struct DevicePlacement {
    package var address: UInt64
    /// The interrupt controller's node, and the device's sources there.
    package var interruptParent: DeviceTreeNode?
    package var interrupts: [UInt32]
    /// The `interrupt-controller` nodes of the harts in order, for controllers that are wired to harts.
    package var hartControllers: [DeviceTreeNode]

    package init(
        address: UInt64, interruptParent: DeviceTreeNode? = nil, interrupts: [UInt32] = [], hartControllers: [DeviceTreeNode] = []
    ) {
        self.address = address
        self.interruptParent = interruptParent
        self.interrupts = interrupts
        self.hartControllers = hartControllers
    }
}

/// Registers at offsets. All calls may come from several host threads at once; an access is naturally aligned, of 1, 2, 4 or 8
/// bytes, and lies within the window.
package protocol Device: AnyObject {
    /// The name of the node, and of messages: `serial`, `virtio_mmio`.
    var name: String { get }
    /// Size of the window of registers in bytes.
    var byteCount: UInt64 { get }
    /// The value of a register, zero-extended; nil raises an access fault.
    func read(_ offset: UInt64, byteCount: Int) -> UInt64?
    /// False raises an access fault.
    func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool
    /// Back to the state after power-on. What a host gave (images, connections) stays.
    func reset()
    /// Adds the device's node to `parent`, usually `/soc`.
    func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode)
    /// Ends I/O threads and writes back what is buffered. No calls come afterwards.
    func shutDown()
}

extension Device {
    package func shutDown() {}
    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {}
}

extension DevicePlacement {
    /// The node that most devices start with: `name@address` with `compatible`, `reg` and the interrupts.
    package func makeNode(_ device: Device, compatible: [String], in parent: DeviceTreeNode) -> DeviceTreeNode {
        let node = parent.child("\(device.name)@\(String(address, radix: 16))")
        node.set("compatible", .strings(compatible))
        node.set("reg", .cells64([address, device.byteCount]))
        if !interrupts.isEmpty, let interruptParent {
            node.set("interrupts", .cells(interrupts))
            node.set("interrupt-parent", .phandle(interruptParent))
        }
        return node
    }
}

/// What of a device has to be kept for it to go on elsewhere: one plain value.
package protocol Snapshottable: AnyObject {
    associatedtype State: Codable
    /// A consistent copy; setting it also sets the interrupt lines and timers that follow from it. Harts are stopped meanwhile.
    var state: State { get set }
    /// Before a state that nobody vouches for is set: throws `StateError` when the device can never have it. The text follows the
    /// name of the device.
    func check(_ state: State) throws
}

extension Snapshottable {
    package func check(_ state: State) throws {}

    package func savedState() throws -> StateValue { try StateValue(encoding: state) }

    /// Checks a saved state; what comes back sets it.
    /// - Throws: `StateError`.
    package func restoration(from saved: StateValue) throws -> () -> Void {
        let new = try saved.decode(State.self)
        try check(new)
        return { [self] in state = new }
    }
}
