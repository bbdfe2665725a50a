// Where debuggers come to a machine: one after the other, as long as the machine lives.

import DeviceModel
import GDBStub

package final class MachineDebugServer: @unchecked Sendable {
    private let listener: DebugListener
    private let debugger: MachineDebugger
    private var thread: HostThread?

    /// What a debugger is told to connect to.
    package var address: String { listener.address }

    /// Listens; nobody is served before `start`.
    /// - Throws: `DebugServerError`.
    package init(session: MachineSession, _ endpoint: DebugEndpoint) throws {
        listener = try DebugListener(endpoint)
        debugger = MachineDebugger(session: session)
    }

    /// Takes connections. The machine's conductor serves their wishes: it is to run, or soon will.
    /// - Throws: `BackendError` when the host has no thread for it.
    package func start() throws(BackendError) {
        thread = try HostThread { [listener, debugger] in
            while let connection = try? listener.acceptNext() { debugger.serve(connection: connection) }
        }
    }

    /// After the end of the machine: returns when nobody is served any more.
    package func stop() {
        listener.stop()
        thread?.join()
        thread = nil
    }
}
