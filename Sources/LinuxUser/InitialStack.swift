// The stack that a program starts with: strings, auxiliary vector, environment, arguments, from the top down
// (System V ABI, "Process initialization"; fs/binfmt_elf.c).

import Glibc

/// Entries of the auxiliary vector.
package enum AuxiliaryType {
    static let null: UInt64 = 0, programHeaders: UInt64 = 3, programHeaderBytes: UInt64 = 4, programHeaderCount: UInt64 = 5
    static let pageBytes: UInt64 = 6, base: UInt64 = 7, flags: UInt64 = 8, entry: UInt64 = 9, uid: UInt64 = 11, euid: UInt64 = 12
    static let gid: UInt64 = 13, egid: UInt64 = 14, platform: UInt64 = 15, hardwareCapabilities: UInt64 = 16
    static let clockTicks: UInt64 = 17, secure: UInt64 = 23, random: UInt64 = 25, executablePath: UInt64 = 31, vdso: UInt64 = 33
    static let minimumSignalStack: UInt64 = 51
}

package struct InitialStack {
    package var arguments: [[UInt8]]
    package var environment: [[UInt8]]
    package var executablePath: [UInt8]
    package var platform: String?
    package var random: [UInt8]
    /// Entries whose value is known beforehand.
    package var auxiliary: [(type: UInt64, value: UInt64)]

    package init(
        arguments: [[UInt8]], environment: [[UInt8]], executablePath: [UInt8], platform: String? = nil, random: [UInt8],
        auxiliary: [(type: UInt64, value: UInt64)]
    ) {
        self.arguments = arguments
        self.environment = environment
        self.executablePath = executablePath
        self.platform = platform
        self.random = random
        self.auxiliary = auxiliary
    }

    /// Where things ended up.
    package struct Layout {
        package var stackPointer: UInt64 = 0
        package var argumentBytes: Range<UInt64> = 0..<0
        package var environmentBytes: Range<UInt64> = 0..<0
        package var auxiliaryBytes: Range<UInt64> = 0..<0
        /// What lies from `stackPointer` to the top.
        package var contents: [UInt8] = []
    }

    /// Lays the stack out below `top`, a multiple of 16.
    package func layout(top: UInt64) -> Layout {
        var layout = Layout()
        // Strings, in ascending order.
        var strings: [UInt8] = []
        var offsets: [Int] = []
        func add(_ bytes: [UInt8]) -> Int {
            let offset = strings.count
            strings += bytes
            return offset
        }
        let randomOffset = add(random)
        let platformOffset = platform.map { add(Array($0.utf8) + [0]) }
        let argumentsOffset = strings.count
        for argument in arguments { offsets.append(add(argument + [0])) }
        let environmentOffset = strings.count
        for variable in environment { offsets.append(add(variable + [0])) }
        let pathOffset = add(executablePath + [0])
        let stringsEnd = top - 8
        let base = stringsEnd - UInt64(strings.count)
        layout.argumentBytes = base + UInt64(argumentsOffset)..<base + UInt64(environmentOffset)
        layout.environmentBytes = base + UInt64(environmentOffset)..<base + UInt64(pathOffset)
        var vector = auxiliary
        vector.append((AuxiliaryType.random, base + UInt64(randomOffset)))
        vector.append((AuxiliaryType.executablePath, base + UInt64(pathOffset)))
        if let platformOffset { vector.append((AuxiliaryType.platform, base + UInt64(platformOffset))) }
        vector.append((AuxiliaryType.null, 0))
        var words: [UInt64] = [UInt64(arguments.count)]
        for index in arguments.indices { words.append(base + UInt64(offsets[index])) }
        words.append(0)
        for index in environment.indices { words.append(base + UInt64(offsets[arguments.count + index])) }
        words.append(0)
        let vectorIndex = words.count
        for (type, value) in vector { words += [type, value] }
        let pointer = (base - UInt64(words.count * 8)) & ~15
        layout.stackPointer = pointer
        layout.auxiliaryBytes = pointer + UInt64(vectorIndex * 8)..<pointer + UInt64(words.count * 8)
        var contents = words.withUnsafeBytes { Array($0) }
        contents += [UInt8](repeating: 0, count: Int(base - pointer) - contents.count)
        layout.contents = contents + strings + [UInt8](repeating: 0, count: 8)
        return layout
    }
}
