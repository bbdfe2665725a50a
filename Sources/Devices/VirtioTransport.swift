// What all virtio transports share (section 2 of the specification): status, features, queues, notifications in both directions,
// and the thread on which slow devices work.
//
// The lock protects registers and rings; requests run without it. A reset waits for requests under way: afterwards the driver may
// use the memory for something else.

import DeviceModel

package final class VirtioTransport: Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        package var status: UInt32 = 0
        package var driverFeatures: UInt64 = 0
        /// 1: a queue was used; 2: the configuration changed.
        package var interruptStatus: UInt32 = 0
        package var configurationGeneration: UInt32 = 0
        package var queues: [VirtioQueue.State] = []
    }

    package enum Status {
        package static let driverOK: UInt32 = 4, featuresOK: UInt32 = 8, needsReset: UInt32 = 64
    }

    package let device: VirtioDevice
    package let memory: DeviceMemory
    package let isLegacy: Bool
    package let features: UInt64
    let monitor = Monitor()
    private(set) var registers = State()
    let queues: [VirtioQueue]
    private let interrupt: InterruptLine
    private let runsInline: Bool
    /// Why the device needs a reset; for messages.
    package private(set) var violation: VirtioViolation?

    // Work under way: requests, queues being processed (again, when notified meanwhile), notifications for the thread.
    private var requestCount = 0
    private var processing: UInt64 = 0, again: UInt64 = 0, pending: UInt64 = 0
    private var isPaused = false, isStopping = false
    private var thread: HostThread?

    /// - Parameters:
    ///   - isLegacy: the rules before version 1.0, which drivers of that time need.
    ///   - runsInline: slow devices work on the hart's thread too, so that runs can be repeated exactly.
    package init(
        device: VirtioDevice, memory: DeviceMemory, interrupt: InterruptLine, isLegacy: Bool = false, runsInline: Bool = false
    ) {
        self.device = device
        self.memory = memory
        self.isLegacy = isLegacy
        self.interrupt = interrupt
        self.runsInline = runsInline || !device.isSlow
        let common = VirtioFeature.indirectDescriptors | VirtioFeature.eventIndex
        features = isLegacy ? (device.features | common) & 0xffff_ffff : device.features | common | VirtioFeature.version1
        queues = device.queueSizes.enumerated().map { VirtioQueue(index: $0, maximumSize: $1, memory: memory) }
        device.attach(self)
    }

    // MARK: Life cycle

    private var isActive: Bool {
        registers.status & (Status.driverOK | Status.needsReset) == Status.driverOK && !isPaused
    }

    /// The device status register.
    package var status: UInt32 { monitor.locked { registers.status } }

    package func setStatus(_ value: UInt32) {
        if value & 0xff == 0 { return reset() }
        let starts = monitor.locked { () -> Bool in
            let before = registers.status
            var status = value & 0xff & ~Status.needsReset | before & Status.needsReset
            if !isLegacy {
                // FEATURES_OK stays off when the driver took what was not offered, or is not a driver of version 1.
                if status & ~before & Status.featuresOK != 0 && !featuresAreGood { status &= ~Status.featuresOK }
                if status & Status.featuresOK == 0 { status &= ~Status.driverOK }
            }
            registers.status = status
            guard status & ~before & Status.driverOK != 0 else { return false }
            applyFeatures()
            return true
        }
        if starts {
            device.start(features: registers.driverFeatures)
            for index in queues.indices { notify(index) }
        }
    }

    private var featuresAreGood: Bool {
        registers.driverFeatures & ~features == 0 && registers.driverFeatures & VirtioFeature.version1 != 0
    }

    private func applyFeatures() {
        for queue in queues {
            queue.hasEventIndex = registers.driverFeatures & VirtioFeature.eventIndex != 0
            queue.hasIndirect = registers.driverFeatures & VirtioFeature.indirectDescriptors != 0
        }
    }

    /// Sets 32 bits of the driver's features, before they are agreed on.
    package func setDriverFeatures(_ value: UInt32, isHigh: Bool) {
        monitor.locked {
            guard registers.status & (Status.featuresOK | Status.driverOK) == 0 else { return }
            let shift: UInt64 = isHigh ? 32 : 0
            registers.driverFeatures = registers.driverFeatures & ~(0xffff_ffff << shift) | UInt64(value) << shift
            if isLegacy { registers.driverFeatures &= features }
        }
    }

    package func reset() {
        monitor.locked {
            registers.status = 0
            pending = 0
            while requestCount > 0 { monitor.wait() }
            registers = State(configurationGeneration: registers.configurationGeneration)
            violation = nil
            for queue in queues {
                queue.reset()
                queue.hasEventIndex = false
                queue.hasIndirect = false
            }
            interrupt.level = false
        }
        device.reset()
    }

    /// Ends the device's thread and the device.
    package func shutDown() {
        monitor.locked {
            isStopping = true
            registers.status = 0
            monitor.wake()
        }
        thread?.join()
        thread = nil
        device.shutDown()
    }

    /// No request is taken until `resume`; returns when none is under way. For snapshots.
    package func pause() {
        monitor.locked {
            isPaused = true
            while requestCount > 0 || processing != 0 { monitor.wait() }
        }
    }

    package func resume() {
        monitor.locked { isPaused = false }
        for index in queues.indices { notify(index) }
    }

    package func check(_ state: State) throws {
        guard state.queues.count == queues.count, state.status <= 0xff, state.interruptStatus <= 3 else {
            throw StateError(" has other queues, or registers that it cannot have")
        }
        let isAgreed = isLegacy || state.status & Status.featuresOK != 0
        guard state.driverFeatures & ~features == 0 || !isAgreed else {
            throw StateError(" has features that it does not offer here")
        }
        guard isAgreed || state.status & Status.driverOK == 0 else { throw StateError(" runs without features") }
        do throws(VirtioViolation) { for (queue, saved) in zip(queues, state.queues) { try queue.check(saved) } } catch {
            throw StateError(": \(error.description)")
        }
    }

    package var state: State {
        get {
            monitor.locked {
                var result = registers
                result.queues = queues.map(\.state)
                return result
            }
        }
        set {
            monitor.locked {
                guard newValue.queues.count == queues.count else { return }
                registers = newValue
                registers.queues = []
                do throws(VirtioViolation) {
                    for (queue, saved) in zip(queues, newValue.queues) { try queue.restore(saved) }
                } catch { fail(error) }
                applyFeatures()
                interrupt.level = registers.interruptStatus != 0
            }
            if newValue.status & Status.driverOK != 0 { device.start(features: newValue.driverFeatures) }
        }
    }

    /// With the lock: the driver broke the rules. Nothing happens any more until it resets the device.
    func fail(_ violation: VirtioViolation) {
        self.violation = violation
        let wasRunning = registers.status & Status.driverOK != 0
        registers.status |= Status.needsReset
        if wasRunning { raise(2) }
    }

    // MARK: Interrupts

    private func raise(_ bit: UInt32) {
        registers.interruptStatus |= bit
        interrupt.level = true
    }

    package var interruptStatus: UInt32 { monitor.locked { registers.interruptStatus } }

    package func acknowledge(_ bits: UInt32) {
        monitor.locked {
            registers.interruptStatus &= ~bits
            interrupt.level = registers.interruptStatus != 0
        }
    }

    package var configurationGeneration: UInt32 { monitor.locked { registers.configurationGeneration } }

    /// The device's configuration is no longer what it was.
    package func configurationChanged() {
        monitor.locked {
            registers.configurationGeneration &+= 1
            if registers.status & Status.driverOK != 0 { raise(2) }
        }
    }

    // MARK: Queues

    /// With the lock on: looks at or changes one queue's set-up; a change is refused while the queue is in use.
    package func configure(_ index: Int, _ body: (inout VirtioQueue.State) -> Void) {
        monitor.locked {
            guard index < queues.count, !queues[index].isReady else { return }
            body(&queues[index].state)
        }
    }

    package func queueState(_ index: Int) -> VirtioQueue.State? {
        monitor.locked { index < queues.count ? queues[index].state : nil }
    }

    package func setReady(_ index: Int, _ isReady: Bool) {
        monitor.locked {
            guard index < queues.count else { return }
            if isReady {
                guard !queues[index].isReady else { return }
                do throws(VirtioViolation) { try queues[index].makeReady() } catch { fail(error) }
            } else {
                while requestCount > 0 { monitor.wait() }
                queues[index].disable()
            }
        }
    }

    /// The driver's notification.
    package func notify(_ index: Int) {
        guard index < queues.count, index < 64 else { return }
        if runsInline { return process(index) }
        monitor.locked {
            guard isActive, !isStopping else { return }
            pending |= 1 << UInt64(index)
            if thread == nil {
                do throws(BackendError) {
                    thread = try HostThread { [self] in serve() }
                } catch { fail(VirtioViolation(error.description)) }
            }
            monitor.wake()
        }
    }

    private func serve() {
        while true {
            let work = monitor.locked { () -> UInt64? in
                while pending == 0 && !isStopping { monitor.wait() }
                defer { pending = 0 }
                return isStopping ? nil : pending
            }
            guard var work else { return }
            while work != 0 {
                process(work.trailingZeroBitCount)
                work &= work &- 1
            }
        }
    }

    /// Lets the device process a queue; when another thread is at it, that thread does it once more.
    private func process(_ index: Int) {
        let bit: UInt64 = 1 << UInt64(index)
        let mayRun = monitor.locked { () -> Bool in
            guard isActive else { return false }
            if processing & bit != 0 {
                again |= bit
                return false
            }
            processing |= bit
            return true
        }
        guard mayRun else { return }
        while true {
            device.process(index)
            let ends = monitor.locked { () -> Bool in
                defer { again &= ~bit }
                if again & bit != 0 && isActive { return false }
                processing &= ~bit
                if isPaused { monitor.wake() }
                return true
            }
            if ends { return }
        }
    }

    private func take(_ index: Int) -> VirtioChain? {
        guard isActive else { return nil }
        do throws(VirtioViolation) {
            guard let chain = try queues[index].pop() else { return nil }
            requestCount += 1
            return chain
        } catch {
            fail(error)
            return nil
        }
    }

    /// For devices: serves chains until there are no more. `body` runs without the lock and returns how many bytes it has
    /// written; it throws when the request itself is against the rules.
    package func drain(_ index: Int, _ body: (VirtioChain) throws(VirtioViolation) -> Int) {
        while true {
            let chain = monitor.locked { () -> VirtioChain? in
                if let chain = take(index) { return chain }
                return isActive && queues[index].waitForNotification() ? take(index) : nil
            }
            guard let chain else { return }
            do throws(VirtioViolation) {
                let written = try body(chain)
                complete(index, chain, written)
            } catch {
                monitor.locked {
                    fail(error)
                    endRequest()
                }
            }
        }
    }

    /// For devices: fills the next chain of a queue with something that came from the host. `body` may refuse by nil: the chain
    /// stays. Returns false when there is no chain, or it was refused.
    package func deliver(_ index: Int, _ body: (VirtioChain) -> Int?) -> Bool {
        monitor.locked {
            let before = queues[index].state
            guard let chain = take(index) ?? (isActive && queues[index].waitForNotification() ? take(index) : nil) else {
                return false
            }
            defer { endRequest() }
            guard let written = body(chain) else {
                queues[index].state.nextAvailable = before.nextAvailable
                return false
            }
            queues[index].push(chain, written: written)
            if queues[index].takeInterrupt() { raise(1) }
            return true
        }
    }

    /// Whether the driver has given a chain that nobody took.
    package func hasAvailable(_ index: Int) -> Bool { monitor.locked { isActive && queues[index].hasAvailable } }

    /// For devices: takes a chain to complete it later, from any thread. `complete` has to follow.
    package func takeChain(_ index: Int) -> VirtioChain? {
        monitor.locked { take(index) ?? (isActive && queues[index].waitForNotification() ? take(index) : nil) }
    }

    package func complete(_ index: Int, _ chain: VirtioChain, _ written: Int) {
        monitor.locked {
            endRequest()
            queues[index].push(chain, written: written)
            if queues[index].takeInterrupt() && registers.status & Status.driverOK != 0 { raise(1) }
        }
    }

    private func endRequest() {
        requestCount -= 1
        if requestCount == 0 { monitor.wake() }
    }
}
