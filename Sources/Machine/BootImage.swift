// A program for the bare machine, as what has to be put where: Linux's `Image`, an ELF file, or a raw binary.

/// Bytes for a physical address, and zeros behind them.
package struct BootSegment: Equatable {
    package var address: UInt64
    package var bytes: ArraySlice<UInt8>
    /// With the zeros; at least as many as `bytes`.
    package var byteCount: UInt64

    package var range: Range<UInt64> { address ..< address + byteCount }
}

/// What a file turned out to be.
package enum BootImageKind: String {
    case linux = "Linux Image", elf = "ELF file", raw = "raw binary"
}

package struct BootImage {
    package var kind: BootImageKind
    package var segments: [BootSegment]
    package var entry: UInt64

    /// The first byte behind everything that it occupies.
    package var end: UInt64 { segments.map(\.range.upperBound).max() ?? entry }

    /// Recognises a kernel or firmware and places it.
    /// - Parameters:
    ///   - base: the address for what does not say itself where it belongs; a Linux Image adds its own offset to `memory`'s
    ///     start.
    ///   - memory: the RAM that everything must lie in.
    /// - Throws: `BootError.notBootable`.
    package init(_ file: BootFile, what: String, base: UInt64, memory: Range<UInt64>) throws {
        guard !file.bytes.isEmpty else { throw BootError.notBootable("the \(what) '\(file.path)' is empty") }
        let room = Int(clamping: memory.upperBound - memory.lowerBound)
        let file = try file.unpacked(limit: room)
        let reader = BootReader(file: file, what: what)
        if file.bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) {
            self = try reader.elf()
        } else if let payload = try reader.zbootPayload(limit: room) {
            self = try BootImage(payload, what: what, base: base, memory: memory)
        } else if reader.isLinuxImage {
            self = try reader.linuxImage(memory: memory)
        } else {
            try reader.rejectForeign()
            let segment = BootSegment(address: base, bytes: file.bytes[...], byteCount: UInt64(file.bytes.count))
            self.init(kind: .raw, segments: [segment], entry: base)
        }
        for segment in segments where segment.range.lowerBound < memory.lowerBound || segment.range.upperBound > memory.upperBound
        {
            throw reader.failure(
                "needs the memory \(hexadecimal(segment.address)) to \(hexadecimal(segment.range.upperBound)), but the machine "
                    + "has "
                    + "\(hexadecimal(memory.lowerBound)) to \(hexadecimal(memory.upperBound)). "
                    + (segment.address < memory.lowerBound
                        ? "Link it for there; if it is a program for Linux, run it with: mynah run"
                        : "Give it more with -m, or link it elsewhere."))
        }
    }

    fileprivate init(kind: BootImageKind, segments: [BootSegment], entry: UInt64) {
        self.kind = kind
        self.segments = segments
        // Instructions begin at even addresses.
        self.entry = entry & ~1
    }
}

package func hexadecimal(_ value: some BinaryInteger) -> String { "0x" + String(value, radix: 16) }

/// Reads one file in its formats.
private struct BootReader {
    let file: BootFile
    let what: String
    var bytes: [UInt8] { file.bytes }

    func failure(_ text: String) -> BootError { .notBootable("the \(what) '\(file.path)' \(text)") }

    // MARK: Linux (Documentation/arch/riscv/boot-image-header.rst)

    var isLinuxImage: Bool { bytes.number(at: 56, as: UInt32.self) == 0x0543_5352 } // "RSC\x05"

    func linuxImage(memory: Range<UInt64>) throws -> BootImage {
        guard let offset = bytes.number(at: 8, as: UInt64.self), let size = bytes.number(at: 16, as: UInt64.self),
            let flags = bytes.number(at: 24, as: UInt64.self), let version = bytes.number(at: 32, as: UInt32.self)
        else { throw failure("is cut off inside of the header of a Linux image") }
        guard flags & 1 == 0 else { throw failure("is a big-endian kernel; this machine is little-endian") }
        guard version >> 16 == 0 else {
            throw failure("has a header of version \(version >> 16).\(version & 0xffff); 0.2 is known")
        }
        // The size counts what the kernel needs behind its bytes (bss) too; 0 in the headers of the first version.
        guard size == 0 || size >= UInt64(bytes.count), size < 1 << 40, offset < 1 << 40, offset % 4096 == 0 else {
            throw failure(
                "is no sound Linux image: \(bytes.count) bytes of \(size), for offset \(hexadecimal(offset)). "
                    + "Is it cut off or damaged? Copy or build it again.")
        }
        // "MZ" is also a harmless instruction; images without the EFI stub begin with a jump.
        let address = memory.lowerBound + offset
        let segment = BootSegment(address: address, bytes: bytes[...], byteCount: max(size, UInt64(bytes.count)))
        return BootImage(kind: .linux, segments: [segment], entry: address)
    }

    /// An EFI program that carries a compressed kernel (CONFIG_EFI_ZBOOT): the kernel in it, unpacked. Nil for anything else.
    func zbootPayload(limit: Int) throws -> BootFile? {
        guard bytes.starts(with: [0x4d, 0x5a]), bytes.count > 64, Array(bytes[4..<8]) == Array("zimg".utf8) else { return nil }
        guard let offset = bytes.number(at: 8, as: UInt32.self), let size = bytes.number(at: 12, as: UInt32.self) else {
            return nil
        }
        let method = String(decoding: bytes[24..<56].prefix { $0 != 0 }, as: UTF8.self)
        guard Int(offset) + Int(size) <= bytes.count else { throw failure("is cut off inside of its compressed kernel") }
        guard method == "gzip" else {
            throw failure("is packed with \(printable(method)), which cannot be unpacked here; unpack it, or build it with gzip")
        }
        let packed = BootFile(path: file.path, bytes: Array(bytes[Int(offset) ..< Int(offset) + Int(size)]))
        let kernel = try packed.unpacked(limit: limit)
        guard kernel.bytes.number(at: 56, as: UInt32.self) == 0x0543_5352 else {
            throw failure("carries something that is no Linux image for riscv64")
        }
        return kernel
    }

    /// Formats of others, which a processor would run into as if they were instructions.
    func rejectForeign() throws {
        if bytes.number(at: 56, as: UInt32.self) == 0x644d_5241 {
            throw failure("is a Linux kernel for arm64; this machine is riscv64")
        }
        if bytes.number(at: 0x202, as: UInt32.self) == 0x5372_6448 {
            throw failure("is a Linux kernel for x86; this machine is riscv64")
        }
        if bytes.starts(with: [0x4d, 0x5a]), bytes.number(at: 56, as: UInt32.self) != 0x0543_5352 {
            throw failure(
                "is an EFI program; start it from a firmware with EFI, such as U-Boot, or give the kernel that it carries")
        }
        let others: [([UInt8], String, String)] = [
            ([0x28, 0xb5, 0x2f, 0xfd], "packed with zstd", "unpack it with: zstd -d"),
            ([0xfd, 0x37, 0x7a, 0x58, 0x5a], "packed with xz", "unpack it with: xz -d"),
            ([0x42, 0x5a, 0x68], "packed with bzip2", "unpack it with: bzip2 -d"),
            ([0x04, 0x22, 0x4d, 0x18], "packed with lz4", "unpack it with: lz4 -d"),
            (
                [0x27, 0x05, 0x19, 0x56], "a U-Boot image (uImage)",
                "give the kernel in it: dumpimage -T kernel -p 0 -o Image FILE"
            ),
            ([0xd0, 0x0d, 0xfe, 0xed], "a device tree or a FIT image", "a device tree is given with --dtb"),
            ([0x51, 0x46, 0x49, 0xfb], "a qcow2 disk", "a disk is given with --drive"),
            (Array("#!".utf8), "a script", "give a kernel or firmware"),
        ]
        for (start, description, advice) in others where bytes.starts(with: start) {
            throw failure("is \(description); \(advice)")
        }
        if bytes.prefix(512).allSatisfy({ (0x20..<0x7f).contains($0) || (0x09..<0x0e).contains($0) }) {
            throw failure("is a text; give a kernel or firmware")
        }
        // The encoding that is illegal for good (unprivileged specification, 1.5.1).
        if bytes.starts(with: [0, 0]) {
            throw failure("begins with zeros, which are no instruction; a disk is given with --drive")
        }
    }

    private func printable(_ text: String) -> String {
        text.unicodeScalars.allSatisfy { (0x20..<0x7f).contains($0.value) } && !text.isEmpty ? text : "an unknown method"
    }

    // MARK: ELF (System V ABI, chapters 4 and 5)

    func elf() throws -> BootImage {
        guard bytes.count >= 64 else { throw failure("is cut off inside of its ELF header") }
        guard bytes[4] == 2 else { throw failure("is a 32-bit ELF file; this machine is riscv64") }
        guard bytes[5] == 1 else { throw failure("is a big-endian ELF file; this machine is little-endian") }
        let machine = bytes.number(at: 18, as: UInt16.self) ?? 0
        guard machine == 243 else {
            let known: [UInt16: String] = [
                3: "x86", 62: "x86-64", 40: "Arm", 183: "AArch64", 20: "PowerPC", 21: "PowerPC 64", 258: "LoongArch",
            ]
            throw failure("is an ELF file for \(known[machine] ?? "machine \(machine)"); this machine is riscv64")
        }
        let type = bytes.number(at: 16, as: UInt16.self) ?? 0
        guard type == 2 || type == 3 else { throw failure("is an ELF file of type \(type), not a linked program") }
        guard let entry = bytes.number(at: 24, as: UInt64.self), let table = bytes.number(at: 32, as: UInt64.self),
            let size = bytes.number(at: 54, as: UInt16.self), let count = bytes.number(at: 56, as: UInt16.self), count > 0,
            size >= 56
        else { throw failure("is an ELF file without program headers; link it as a program") }
        var segments: [BootSegment] = []
        var entryAddress = entry
        for index in 0..<UInt64(count) {
            let (position, overflow) = table.addingReportingOverflow(index * UInt64(size))
            guard !overflow, let start = Int(exactly: position), start <= bytes.count - 56, start >= 0 else {
                throw failure("is cut off inside of its program headers")
            }
            try addSegment(at: start, entry: entry, &segments, &entryAddress)
        }
        guard !segments.isEmpty else { throw failure("is an ELF file with nothing to load") }
        return BootImage(kind: .elf, segments: segments, entry: entryAddress)
    }

    /// One program header: what it loads goes to its physical address; the entry is virtual, as the file has it.
    private func addSegment(at start: Int, entry: UInt64, _ segments: inout [BootSegment], _ entryAddress: inout UInt64) throws {
        let field = { (offset: Int) in bytes.number(at: start + offset, as: UInt64.self) ?? 0 }
        let interpreter: UInt32 = 3, load: UInt32 = 1
        let type = bytes.number(at: start, as: UInt32.self)
        guard type != interpreter else {
            throw failure("is a program for Linux, not for the bare machine; run it with: mynah run")
        }
        let offset = field(8), virtual = field(16), physical = field(24), fileCount = field(32), count = field(40)
        guard type == load, count > 0 else { return }
        guard fileCount <= count, count < 1 << 40, physical < 1 << 56, virtual <= UInt64.max - count else {
            throw failure("has an ELF segment that makes no sense, at \(hexadecimal(physical)) with \(hexadecimal(count)) bytes")
        }
        guard offset <= UInt64(bytes.count), fileCount <= UInt64(bytes.count) - offset else {
            throw failure("is cut off: an ELF segment reaches to byte \(offset &+ fileCount) of \(bytes.count)")
        }
        let content = bytes[Int(offset) ..< Int(offset + fileCount)]
        segments.append(BootSegment(address: physical, bytes: content, byteCount: count))
        if (virtual ..< virtual + count).contains(entry) { entryAddress = entry - virtual + physical }
    }
}
