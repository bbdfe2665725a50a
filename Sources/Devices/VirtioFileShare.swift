// Virtio 9P transport: a directory of the host in the guest (`mount -t 9p -o trans=virtio,version=9p2000.L TAG DIRECTORY`).

import DeviceModel

package final class VirtioFileShare: VirtioDevice, Snapshottable {
    package struct State: Codable, Equatable {
        var server: NinePServer.State
    }

    package let deviceID: UInt32 = 9
    /// MOUNT_TAG.
    package let features: UInt64 = 1
    package let queueSizes: [UInt16] = [128]
    package let isSlow = true
    package let configuration: [UInt8]
    package let tag: String
    private let server: NinePServer
    private weak var transport: VirtioTransport?

    /// - Parameters:
    ///   - path: the directory. Nothing outside of it can be reached.
    ///   - tag: its name in the guest, at most 31 bytes.
    /// - Throws: `BackendError` when it cannot be opened.
    package init(
        path: String, tag: String, identities: FileIdentities = .passthrough, isReadOnly: Bool = false
    ) throws(BackendError) {
        let name = Array(tag.utf8)
        guard (1...31).contains(name.count) else {
            throw BackendError("the name of a share has 1 to 31 bytes, and \(tag) has \(name.count)")
        }
        var bytes: [UInt8] = []
        bytes.append(string: name)
        configuration = bytes
        self.tag = tag
        server = NinePServer(try SharedDirectory(path: path, identities: identities, isReadOnly: isReadOnly))
    }

    /// Requests are not under way meanwhile (`VirtioTransport.pause`).
    package var state: State {
        get { State(server: server.state) }
        set {
            server.state = newValue.server
            lostFileCount = server.lostFileCount(of: newValue.server)
        }
    }

    package func check(_ state: State) throws { try server.check(state.server) }

    /// Files that were open in the state that was set last, and cannot be opened any more.
    package private(set) var lostFileCount = 0

    package func attach(_ transport: VirtioTransport) { self.transport = transport }
    package func reset() { server.reset() }
    package func shutDown() { server.reset() }

    package func process(_ queue: Int) {
        transport?.drain(queue) { (chain) throws(VirtioViolation) in
            guard chain.writableCount >= 11 else { throw VirtioViolation("a 9P request without room for an answer") }
            let request = chain.bytes(count: NinePServer.messageLimit)
            guard let reply = server.reply(to: request, limit: chain.writableCount) else {
                throw VirtioViolation("a 9P request without a header")
            }
            return chain.fill(0, reply)
        }
    }
}
