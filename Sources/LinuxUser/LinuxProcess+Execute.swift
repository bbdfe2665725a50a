// execve: a program of the guest's kind runs under this executable again, everything else is the host's.
//
// What Mynah was told travels in the arguments, never in the environment, which is the guest's alone.

import CHost
import Glibc

extension LinuxThread {
    private static let emptyPath: UInt64 = 0x1000, noFollow: UInt64 = 0x100
    private static let argumentLimit = 1 << 20

    func execute(directory: Int32, path address: UInt64, arguments: UInt64, environment: UInt64, flags: UInt64) -> Int64 {
        guard flags & ~(Self.emptyPath | Self.noFollow) == 0 else { return Errno.EINVAL.result }
        guard var path = readGuestBytes(at: address, limit: 4096) else {
            return readGuest(UInt8.self, at: address) == nil ? Errno.EFAULT.result : Errno.ENAMETOOLONG.result
        }
        var kept: Int32?
        defer { if let kept { close(kept) } }
        if path.isEmpty {
            guard flags & Self.emptyPath != 0 else { return Errno.ENOENT.result }
            guard fcntl(directory, F_GETFD) >= 0 else { return Errno.EBADF.result }
            path = Self.pathOfDescriptor(directory, keeping: &kept)
        } else if directory != AT_FDCWD && path.first != UInt8(ascii: "/") {
            guard fcntl(directory, F_GETFD) >= 0 else { return Errno.EBADF.result }
            path = Self.pathOfDescriptor(directory, keeping: &kept) + Array("/".utf8) + path
        } else if let descriptor = Self.descriptor(namedBy: path), fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0 {
            path = Self.pathOfDescriptor(descriptor, keeping: &kept)
        }
        if flags & Self.noFollow != 0 && Self.isLink(path) { return Errno.ELOOP.result }
        if ProcView(path: ELFProgram.text(path), process: Int(getpid()))?.kind == .executable {
            path = Array(process.programPath.utf8)
        }
        var words: [[UInt8]] = []
        let result = readStrings(arguments, into: &words)
        guard result == 0 else { return result }
        // As in Linux since 5.18.
        if words.isEmpty { words = [[]] }
        let program: ELFProgram
        do {
            program = try ELFProgram.find(path, arguments: words, paths: process.paths)
        } catch let error as ExecutableError {
            if error.errno == .ENOEXEC { return executeOnHost(path, words, environment) }
            return error.errno.result
        } catch {
            return Errno.EIO.result
        }
        close(program.descriptor)
        // The image goes when it succeeds, and with it what was translated.
        process.engine.saveTranslations()
        guard LinuxABIs.abi(elfMachine: program.file.machine) != nil else {
            return executeOnHost(program.guestPath, program.arguments, environment)
        }
        var own = process.options.reexecution.map { Array($0.utf8) }
        let debugger = isVforkedProcess ? nil : process.debugger
        if let session = debugger?.prepareExecution() { own += [Array("--gdb".utf8), Array(session.utf8)] }
        own = [Array("mynah".utf8)] + own + [Array("--argv0".utf8), words[0], Array("--".utf8), path] + words.dropFirst()
        let failure = call(Array("/proc/self/exe".utf8), own, environment)
        debugger?.executionFailed()
        return failure
    }

    /// A file that only the host kernel can judge, or whose interpreter is the host's.
    private func executeOnHost(_ path: [UInt8], _ arguments: [[UInt8]], _ environment: UInt64) -> Int64 {
        let hostPath = process.paths.hostPath(of: ELFProgram.text(path)).map { Array($0.utf8) } ?? path
        if !isVforkedProcess { process.debugger?.tellForeignExecution(ELFProgram.text(hostPath)) }
        return call(hostPath, arguments, environment)
    }

    /// Makes the host's execve; returns only when it fails.
    private func call(_ path: [UInt8], _ arguments: [[UInt8]], _ environment: UInt64) -> Int64 {
        var pointers: [UInt] = arguments.map { UInt(bitPattern: Self.copy($0)) } + [0]
        let name = Self.copy(path)
        defer {
            for pointer in pointers where pointer != 0 { UnsafeMutablePointer<CChar>(bitPattern: pointer)?.deallocate() }
            name.deallocate()
        }
        return pointers.withUnsafeMutableBufferPointer {
            hostCall(59, UInt64(UInt(bitPattern: name)), UInt64(UInt(bitPattern: $0.baseAddress!)), environment)
        }
    }

    private static func copy(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar> {
        let pointer = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
        for (index, byte) in bytes.enumerated() { pointer[index] = CChar(bitPattern: byte) }
        pointer[bytes.count] = 0
        return pointer
    }

    /// The strings of a null-terminated vector in guest memory.
    private func readStrings(_ vector: UInt64, into strings: inout [[UInt8]]) -> Int64 {
        guard vector != 0 else { return 0 }
        var address = vector
        while true {
            guard let pointer = readGuest(UInt64.self, at: address) else { return Errno.EFAULT.result }
            if pointer == 0 { return 0 }
            guard let string = readGuestBytes(at: pointer, limit: 131072) else {
                return readGuest(UInt8.self, at: pointer) == nil ? Errno.EFAULT.result : Errno.E2BIG.result
            }
            strings.append(string)
            guard strings.count < Self.argumentLimit else { return Errno.E2BIG.result }
            address &+= 8
        }
    }

    /// The descriptor that a path such as /proc/self/fd/5 names; nil for any other path.
    private static func descriptor(namedBy path: [UInt8]) -> Int32? {
        for directory in ["/proc/self/fd/", "/dev/fd/", "/proc/\(getpid())/fd/"] where path.starts(with: directory.utf8) {
            return Int32(ELFProgram.text(Array(path.dropFirst(directory.utf8.count))))
        }
        return nil
    }

    /// A path that leads to an open file or directory after the exec, too, when a descriptor that closes by then does not. A file
    /// without a name, as from memfd_create, is kept open for the next program, which inherits that descriptor.
    private static func pathOfDescriptor(_ descriptor: Int32, keeping kept: inout Int32?) -> [UInt8] {
        let link = "/proc/self/fd/\(descriptor)"
        var opened = stat(), named = stat()
        let target = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer -> String? in
            let count = readlink(link, buffer.baseAddress!, 4095)
            guard count > 0 else { return nil }
            buffer[count] = 0
            return String(cString: buffer.baseAddress!)
        }
        if let target, stat(target, &named) == 0, fstat(descriptor, &opened) == 0, named.st_ino == opened.st_ino,
            named.st_dev == opened.st_dev
        {
            return Array(target.utf8)
        }
        guard fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0 else { return Array(link.utf8) }
        let copy = dup(descriptor)
        guard copy >= 0 else { return Array(link.utf8) }
        kept = copy
        return Array("/proc/self/fd/\(copy)".utf8)
    }

    private static func isLink(_ path: [UInt8]) -> Bool {
        var status = stat()
        return lstat(ELFProgram.text(path), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }
}
