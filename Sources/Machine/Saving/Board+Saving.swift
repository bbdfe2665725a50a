// Saving a whole machine to a file, and loading it. The harts are stopped meanwhile.

import CHost
import DeviceModel
import Devices
import Glibc
import Guest

/// All of a machine but its memory and disks.
struct MachineState: Codable {
    struct Device: Codable {
        var name: String
        /// nil for devices without a state.
        var own: StateTree?
        /// Of what is in a virtio slot.
        var inner: StateTree?
    }
    var processor: Processor.State
    var devices: [Device]
    /// What was typed and not taken by the serial port.
    var typed: [UInt8]
    /// Of randomness that follows from a seed.
    var entropy: UInt64?
}

extension Board {
    // MARK: Saving

    /// Writes the machine to a file; afterwards it goes on as if nothing had happened.
    /// - Parameter isEnd: it does not go on: requests that nobody has taken stay in the file alone.
    /// - Throws: `BootError` when the file cannot be written; `BackendError` when a drive cannot.
    package func save(to path: String, isEnd: Bool = false) throws {
        let ticks = processor.time()
        // A timer whose time has come, but whom nobody has told yet, rings at once where the file is loaded.
        processor.timers.runDue()
        serialConsole?.hold()
        for slot in slots { slot.transport.pause() }
        defer {
            // To the guest no time will have passed.
            processor.ticksAtStart = ticks
            if !isEnd { for slot in slots { slot.transport.resume() } }
            serialConsole?.release()
        }
        // What memory says is on a disk must be there.
        for drive in drives { try drive.backend.flush() }
        // From here on the harts look up their translations anew, here and where the file is loaded: both go the same way.
        for hart in processor.harts { hart.core.flushTranslations() }
        var state = try machineState()
        state.processor.ticks = ticks
        let writer = try SavedMachineWriter(path: path)
        try writer.section(.machine, StateValue(encoding: describeMachine()).encoded)
        try writer.section(.state, StateValue(encoding: state).encoded)
        try saveDisks(to: writer)
        try saveMemory(to: writer)
        try writer.finish()
    }

    func machineState() throws -> MachineState {
        MachineState(
            processor: processor.state,
            devices: try savedDevices.map { device, _ in
                let inner = (device as? VirtioMMIO)?.device
                return MachineState.Device(
                    name: device.name, own: try (device as? any Snapshottable).map { StateTree(try $0.savedState()) },
                    inner: try (inner as? any Snapshottable).map { StateTree(try $0.savedState()) })
            },
            typed: serialConsole?.pendingInput ?? [], entropy: (entropy as? SeededEntropy)?.state)
    }

    private func saveMemory(to writer: SavedMachineWriter) throws(BootError) {
        let packer = SavedPages.Packer(.pages, to: writer)
        let batch = 512
        for ram in memory.rams {
            let pageCount = Int(ram.byteCount) / SavedPages.pageBytes, touched = TouchedPages(file: ram.file)
            for first in stride(from: 0, to: pageCount, by: batch) {
                let count = min(batch, pageCount - first)
                let flags = touched.touched(first * SavedPages.pageBytes, pageCount: count)
                for piece in stride(from: 0, to: count, by: SavedPages.pagesOfPiece) {
                    let pages = min(SavedPages.pagesOfPiece, count - piece)
                    guard flags[piece..<piece + pages].contains(true) else { continue }
                    let offset = (first + piece) * SavedPages.pageBytes
                    // SAFETY: the pages lie in the RAM, and no hart or device writes to it now.
                    let bytes = UnsafeRawBufferPointer(start: ram.host + offset, count: pages * SavedPages.pageBytes)
                    try packer.add(ram.address + UInt64(offset), bytes)
                }
            }
        }
        try packer.flush()
    }

    private func saveDisks(to writer: SavedMachineWriter) throws {
        let packer = SavedPages.Packer(.disk, to: writer)
        let cluster = UnsafeMutableRawBufferPointer.allocate(byteCount: SavedPages.pieceBytes, alignment: 4096)
        defer { cluster.deallocate() }
        for (index, drive) in drives.enumerated() {
            guard let disk = drive.backend as? SnapshotDisk else { continue }
            for number in disk.writtenClusters {
                cluster.initializeMemory(as: UInt8.self, repeating: 0)
                let offset = number * SnapshotDisk.clusterBytes
                try disk.read(
                    at: offset, into: UnsafeMutableRawBufferPointer(rebasing: cluster[..<disk.byteCount(ofCluster: number)]))
                try packer.add(offset, UnsafeRawBufferPointer(cluster), drive: UInt16(index), keepsEmpty: true)
            }
        }
        try packer.flush()
    }

    // MARK: Loading

    /// What a file's machine consists of.
    /// - Throws: `BootError`.
    package static func description(ofFile path: String) throws -> MachineDescription {
        try description(try SavedMachineReader(path: path, verifies: false), path)
    }

    private static let goneText = "what the machine did before is gone: 'reset' starts it anew"

    private static func damaged(_ path: String, _ error: StateError) -> BootError {
        .notBootable(
            "the saved machine '\(path)' does not make sense (\(error.description)): it cannot be loaded; save the machine again")
    }

    private static func description(_ reader: SavedMachineReader, _ path: String) throws -> MachineDescription {
        guard let (section, content) = try reader.next(), section == .machine else {
            throw damaged(path, StateError("it does not begin with its machine"))
        }
        do { return try StateValue(encoded: content).decode(MachineDescription.self) } catch let error as StateError {
            throw damaged(path, error)
        }
    }

    /// Takes the place of `powerOn`, or of everything that the machine was doing. Nothing has changed when it throws, unless the
    /// text says so.
    /// - Returns: what the user should know.
    /// - Throws: `BootError`.
    package func load(from path: String) throws -> [String] {
        try fillFreeSlots()
        let reader = try SavedMachineReader(path: path)
        let saved = try Board.description(reader, path), own = describeMachine()
        try saved.checkFits(own, path: path)
        var notes = saved.doubts(about: own), isGone = false
        do {
            guard let (section, content) = try reader.next(), section == .state else {
                throw StateError("its states are missing")
            }
            let state = try StateValue(encoded: content).decode(MachineState.self)
            let restorations = try check(state)
            serialConsole?.hold()
            for slot in slots { slot.transport.pause() }
            defer {
                for slot in slots { slot.transport.resume() }
                serialConsole?.release()
            }
            isGone = configuration.isLoaded || processor.harts.contains { $0.phase != .stopped }
            for hart in processor.harts { hart.halt() }
            bus.reset()
            setFirmware(isBuiltIn: saved.hasBuiltInFirmware)
            try loadContents(reader)
            processor.setTime(of: state.processor)
            for (hart, saved) in zip(processor.harts, state.processor.harts) { hart.state = saved }
            for restore in restorations { restore() }
            serialConsole?.pendingInput = state.typed
            if let entropy = entropy as? SeededEntropy, let saved = state.entropy { entropy.state = saved }
        } catch let error as StateError {
            throw Board.damaged(path, isGone ? StateError(error.description + "; \(Board.goneText)") : error)
        } catch let error as BackendError {
            // A drive that did not take its contents.
            throw BootError.notBootable(
                "the saved machine '\(path)' cannot be loaded: \(error.description)" + (isGone ? "; \(Board.goneText)" : ""))
        }
        for case let share as VirtioFileShare in slots.map(\.device) where share.lostFileCount > 0 {
            notes.append(
                "\(share.lostFileCount) files that the guest had open in the shared directory '\(share.tag)' are gone or may "
                    + "not be opened any more")
        }
        if slots.contains(where: { $0.device is VirtioNetwork }) {
            notes.append("connections of the guest's network were not saved; it has to make them again")
        }
        return notes
    }

    /// - Returns: what sets the states of the devices, one after the other.
    private func check(_ state: MachineState) throws -> [() -> Void] {
        try processor.check(state.processor)
        guard state.devices.count == savedDevices.count else { throw StateError("it has the states of other devices") }
        var result: [() -> Void] = []
        for (saved, (device, _)) in zip(state.devices, savedDevices) {
            guard saved.name == device.name else {
                throw StateError("it has the state of \(saved.name.printable) for \(device.name)")
            }
            for (part, value) in [(device as AnyObject, saved.own), ((device as? VirtioMMIO)?.device as AnyObject?, saved.inner)]
            {
                guard let part = part as? any Snapshottable else { continue }
                guard let value else { throw StateError("the state of \(device.name) is missing") }
                do { result.append(try part.restoration(from: value.value)) } catch let error as StateError {
                    throw StateError(device.name + error.description)
                }
            }
        }
        return result
    }

    private func loadContents(_ reader: SavedMachineReader) throws {
        for ram in memory.rams {
            // Zeroed pages, as those of a machine that was just made: holes in the file that it is.
            if madvise(ram.host, Int(ram.byteCount), MADV_REMOVE) != 0 { memset(ram.host, 0, Int(ram.byteCount)) }
        }
        // What was decoded is void.
        defer { for ram in memory.rams { memory.didWrite(ram.address, byteCount: Int(ram.byteCount)) } }
        for drive in drives { (drive.backend as? SnapshotDisk)?.forgetWrites() }
        while let (section, content) = try reader.next() {
            switch section {
            case .pages: try SavedPages.unpack(content, loadPages)
            case .disk: try SavedPages.unpack(content, loadCluster)
            case .machine, .state, .done: throw StateError("its sections are out of order")
            }
        }
    }

    private func loadPages(_ piece: SavedPages.Piece) throws {
        var done = 0
        for index in 0..<SavedPages.pagesOfPiece where piece.mask >> UInt16(index) & 1 != 0 {
            let address = piece.address &+ UInt64(index * SavedPages.pageBytes)
            guard address & 4095 == 0, let host = memory.hostPointer(address, byteCount: SavedPages.pageBytes) else {
                throw StateError("it has pages where there is no memory")
            }
            // SAFETY: `hostPointer` has checked the range, and a piece has a page for each bit.
            host.copyMemory(from: piece.pages.baseAddress! + done, byteCount: SavedPages.pageBytes)
            done += SavedPages.pageBytes
        }
    }

    private func loadCluster(_ piece: SavedPages.Piece) throws {
        guard Int(piece.drive) < drives.count, let disk = drives[Int(piece.drive)].backend as? SnapshotDisk,
            piece.address % SnapshotDisk.clusterBytes == 0, piece.address / SnapshotDisk.clusterBytes < disk.clusterCount
        else { throw StateError("it has contents of a drive that there is not") }
        var cluster = [UInt8](repeating: 0, count: SavedPages.pieceBytes), done = 0
        for index in 0..<SavedPages.pagesOfPiece where piece.mask >> UInt16(index) & 1 != 0 {
            let start = index * SavedPages.pageBytes
            cluster.replaceSubrange(start..<start + SavedPages.pageBytes, with: piece.pages[done..<done + SavedPages.pageBytes])
            done += SavedPages.pageBytes
        }
        let count = disk.byteCount(ofCluster: piece.address / SnapshotDisk.clusterBytes)
        try cluster.withUnsafeBytes { try disk.write(at: piece.address, from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
