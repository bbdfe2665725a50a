// What the guest has in its hands of a shared directory, to go on elsewhere with the same directory: fids are paths, and files
// that were open are opened again.

import DeviceModel
import Glibc

extension NinePServer {
    struct State: Codable, Equatable {
        struct Fid: Codable, Equatable {
            var number: UInt32, path: [FileName], uid: UInt32, isOpen: Bool, openFlags: Int32
            var attribute: [UInt8]?, attributeName: FileName?, attributeByteCount = 0, attributeFlags = 0
        }
        var messageSize = 8192
        var fids: [Fid] = []
        var devices: [UInt64] = []
    }

    private static let attributeLimit = 65536

    func check(_ state: State) throws {
        guard (4096...NinePServer.messageLimit).contains(state.messageSize) else {
            throw StateError(" has messages of \(state.messageSize) bytes")
        }
        guard state.fids.count <= NinePServer.fidLimit, Set(state.fids.map(\.number)).count == state.fids.count,
            state.fids.filter(\.isOpen).count <= openLimit, state.devices.count <= 1 << 16,
            state.fids.filter({ $0.attribute != nil }).count <= NinePServer.attributeFidLimit
        else { throw StateError(" has more files open than it can have, or one of them twice") }
        for fid in state.fids {
            do throws(FileError) { for name in fid.path { try SharedDirectory.check(name) } } catch {
                throw StateError(" has a path that leads out of the directory")
            }
            guard fid.openFlags & ~Int32(NinePServer.openFlags) == 0, (fid.attribute?.count ?? 0) <= NinePServer.attributeLimit,
                (fid.attributeName?.count ?? 1) >= 1, (fid.attributeName?.count ?? 1) <= 255,
                fid.attributeName?.contains(0) != true,
                (0...NinePServer.attributeLimit).contains(fid.attributeByteCount), (0...3).contains(fid.attributeFlags)
            else { throw StateError(" has a file that no guest can have") }
        }
    }

    /// Files that are gone when it is set, or may not be opened so any more, stay closed: their fids answer EBADF.
    var state: State {
        get {
            let saved = fids.sorted { $0.key < $1.key }.map { number, fid in
                State.Fid(
                    number: number, path: fid.path, uid: fid.uid, isOpen: fid.descriptor >= 0, openFlags: fid.openFlags,
                    attribute: fid.attribute,
                    attributeName: fid.attributeToSet?.name, attributeByteCount: fid.attributeToSet?.byteCount ?? 0,
                    attributeFlags: fid.attributeToSet?.flags ?? 0)
            }
            return State(messageSize: messageSize, fids: saved, devices: devices.sorted { $0.value < $1.value }.map(\.key))
        }
        set {
            reset()
            messageSize = newValue.messageSize
            devices = [:]
            for device in newValue.devices where devices[device] == nil { devices[device] = UInt64(devices.count) }
            for saved in newValue.fids {
                var fid = Fid(path: saved.path, uid: saved.uid, openFlags: saved.openFlags, attribute: saved.attribute)
                if let name = saved.attributeName { fid.attributeToSet = (name, saved.attributeByteCount, saved.attributeFlags) }
                if saved.isOpen { fid.descriptor = reopen(saved) ?? -1 }
                fids[saved.number] = fid
            }
        }
    }

    private func reopen(_ saved: State.Fid) -> Int32? {
        let flags = saved.openFlags & ~O_TRUNC
        if directory.isReadOnly && flags & O_ACCMODE != O_RDONLY { return nil }
        // A file that the guest made itself may be one that it may only write to by now.
        return try? directory.openFile(saved.path, flags: flags)
    }

    /// Fids of the state that were open and are not any more.
    func lostFileCount(of state: State) -> Int {
        state.fids.filter { $0.isOpen && (fids[$0.number]?.descriptor ?? -1) < 0 }.count
    }
}
