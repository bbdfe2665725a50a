// Mapping an ELF program into the guest's address space (fs/binfmt_elf.c).

import Glibc

/// A program or shared object in memory.
package struct LoadedImage {
    package var entry: UInt64
    /// What was added to the addresses in the file.
    package var bias: UInt64
    package var range: Range<UInt64>
    /// Where the program headers are in memory; 0 when they are not loaded.
    package var programHeaders: UInt64
    package var programHeaderCount: Int
}

package struct ELFLoader {
    let memory: AddressSpace

    package init(memory: AddressSpace) { self.memory = memory }

    private static let privateAnonymous = UInt64(0x2 | AddressSpace.MapFlag.anonymous)
    private static let fixed = UInt64(AddressSpace.MapFlag.fixed)
    private static let fixedNoReplace = UInt64(AddressSpace.MapFlag.fixedNoReplace)

    /// Maps the segments of `file`; a position-independent one at `base`, or where there is room when that is nil.
    package func load(_ file: ELFFile, descriptor: Int32, base: UInt64?) throws -> LoadedImage {
        let span = file.span
        let length = span.upperBound - span.lowerBound
        let start = try reserve(file, span: span, length: length, base: base, alignment: Self.alignment(of: file))
        let bias = start &- span.lowerBound
        var reached = start
        for segment in file.segments {
            let address = segment.address &+ bias
            let first = address & ~(AddressSpace.pageBytes - 1)
            let end = AddressSpace.roundedUp(address + segment.memoryBytes)
            // The reservation stays in no hole between segments.
            if first > reached { _ = memory.unmap(reached, first - reached) }
            try map(segment, at: address, file: file, descriptor: descriptor)
            reached = max(reached, end)
        }
        return LoadedImage(
            entry: file.entry &+ bias, bias: bias, range: start..<start + length, programHeaders: headersAddress(file, bias),
            programHeaderCount: file.programHeaders.count)
    }

    /// The largest alignment that a segment asks for, within reason.
    private static func alignment(of file: ELFFile) -> UInt64 {
        let limit: UInt64 = 1 << 24
        var largest = AddressSpace.pageBytes
        for segment in file.segments {
            let isPowerOfTwo = segment.alignment & (segment.alignment &- 1) == 0
            if isPowerOfTwo && segment.alignment <= limit { largest = max(largest, segment.alignment) }
        }
        return largest
    }

    private func reserve(
        _ file: ELFFile, span: Range<UInt64>, length: UInt64, base: UInt64?, alignment: UInt64
    ) throws -> UInt64 {
        var flags = Self.privateAnonymous | 0x4000 /* MAP_NORESERVE */
        var address: UInt64 = 0
        var length = length
        if !file.isPositionIndependent {
            address = span.lowerBound
            flags |= Self.fixedNoReplace
        } else if let base {
            address = (base &+ alignment - 1) & ~(alignment - 1)
        } else if alignment > AddressSpace.pageBytes {
            length += alignment
        }
        let result = memory.map(address, length, protection: 0, flags: flags, descriptor: -1, offset: 0)
        guard result >= 0 else { throw placementError(file, span, result) }
        var start = UInt64(bitPattern: result)
        if !file.isPositionIndependent || length == span.upperBound - span.lowerBound { return start }
        // Room for the alignment was added: give back what is too much.
        let aligned = (start + alignment - 1) & ~(alignment - 1)
        let end = start + length
        let used = aligned + (span.upperBound - span.lowerBound)
        if aligned > start { _ = memory.unmap(start, aligned - start) }
        if end > used { _ = memory.unmap(used, end - used) }
        start = aligned
        return start
    }

    private func placementError(_ file: ELFFile, _ span: Range<UInt64>, _ result: Int64) -> ExecutableError {
        let place = "0x\(String(span.lowerBound, radix: 16))"
        let advice: String
        switch result {
        case Errno.EPERM.result:
            advice = "the host forbids addresses that low. Lower it with `sysctl vm.mmap_min_addr`, or link the program higher."
        case Errno.EEXIST.result: advice = "something of the host is there. Build the program position-independent (-pie)."
        default: advice = String(cString: strerror(Int32(-result))) + "."
        }
        return ExecutableError(
            exitStatus: 126, errno: .ENOMEM, description: "\(file.path): cannot be loaded at its address \(place): \(advice)")
    }

    private func map(_ segment: ProgramHeader, at address: UInt64, file: ELFFile, descriptor: Int32) throws {
        // PF_X 1, PF_W 2, PF_R 4.
        let protection = UInt64((segment.flags & 4) >> 2 | segment.flags & 2 | (segment.flags & 1) << 2)
        let within = address & (AddressSpace.pageBytes - 1)
        let first = address - within
        let fileEnd = address + segment.fileBytes
        var anonymousStart = first
        if segment.fileBytes != 0 {
            let result = memory.map(
                first, within + segment.fileBytes, protection: protection, flags: 0x2 | Self.fixed, descriptor: descriptor,
                offset: segment.offset - within)
            guard result >= 0 else { throw mappingError(file, result) }
            anonymousStart = AddressSpace.roundedUp(fileEnd)
            if segment.memoryBytes > segment.fileBytes && protection & 2 != 0 {
                // To the end of the page, as the kernel does: the dynamic linker allocates from what follows its data.
                let count = anonymousStart - fileEnd
                // SAFETY: the page was mapped writable just now, and the file reaches into it.
                UnsafeMutableRawPointer(bitPattern: UInt(fileEnd))!.initializeMemory(
                    as: UInt8.self, repeating: 0, count: Int(count))
            }
        }
        let end = AddressSpace.roundedUp(address + segment.memoryBytes)
        if end > anonymousStart {
            let result = memory.map(
                anonymousStart, end - anonymousStart, protection: protection, flags: Self.privateAnonymous | Self.fixed,
                descriptor: -1, offset: 0)
            guard result >= 0 else { throw mappingError(file, result) }
        }
    }

    private func mappingError(_ file: ELFFile, _ result: Int64) -> ExecutableError {
        ExecutableError(
            exitStatus: 126, errno: .ENOMEM,
            description: "\(file.path): its segments cannot be mapped: \(String(cString: strerror(Int32(-result)))).")
    }

    private func headersAddress(_ file: ELFFile, _ bias: UInt64) -> UInt64 {
        if let header = file.programHeaders.first(where: { $0.type == ProgramHeader.headers }) { return header.address &+ bias }
        let offset = file.programHeadersOffset
        for segment in file.segments where segment.offset <= offset && offset - segment.offset < segment.fileBytes {
            return segment.address &+ (offset - segment.offset) &+ bias
        }
        return 0
    }

    /// Maps the vDSO; returns its address.
    package func load(vdso image: [UInt8]) throws -> UInt64 {
        let result = memory.map(
            0, UInt64(image.count), protection: 3, flags: Self.privateAnonymous, descriptor: -1, offset: 0, named: "[vdso]")
        guard result > 0 else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOMEM, description: "no memory for the guest's vDSO. Free some memory.")
        }
        let address = UInt64(bitPattern: result)
        // SAFETY: mapped writable just now, with at least the image's size.
        image.withUnsafeBytes {
            UnsafeMutableRawPointer(bitPattern: UInt(address))!.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
        _ = memory.protect(address, UInt64(image.count), protection: 5)
        return address
    }
}
