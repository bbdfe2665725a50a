// Thousands of damaged programs for the reader and the loader, in this process: each gives a message or a program that is
// mapped inside the guest's address space. A trap ends the test run, so that it cannot go unseen.

import Glibc
import Testing

@testable import LinuxUser

@Suite struct MutatedELFTests {
    static let images = directory(of: directory(of: directory(of: #filePath))) + "/GuestImages/riscv64"

    private static func directory(of path: String) -> String { String(path[..<path.lastIndex(of: "/")!]) }

    static func image(_ name: String) throws -> [UInt8] {
        let descriptor = open(images + "/" + name, O_RDONLY | O_CLOEXEC)
        try #require(descriptor >= 0, "no \(name) in \(images)")
        defer { close(descriptor) }
        return ELFFile.read(descriptor, at: 0, count: 1 << 20)
    }

    /// Reads and loads; true when there is a program to run.
    private func loads(_ mutant: ELFMutator) throws -> Bool {
        try ELFBuilder.withFile(mutant.bytes) { descriptor in
            let memory = AddressSpace()
            defer { _ = memory.unmap(0, AddressSpace.limit) }
            do {
                let file = try ELFFile(descriptor: descriptor, path: "mutant")
                let base = file.isPositionIndependent ? AddressSpace.positionIndependentBase : nil
                let image = try ELFLoader(memory: memory).load(file, descriptor: descriptor, base: base)
                #expect(image.range.upperBound <= AddressSpace.limit, "\(mutant.description)")
                #expect(image.range.lowerBound >= 4096, "\(mutant.description)")
                return true
            } catch let error as ExecutableError {
                #expect(error.exitStatus == 126, "\(mutant.description): \(error)")
                #expect(
                    error.description.hasPrefix("mutant: ") && error.description.hasSuffix("."), "\(mutant.description): \(error)"
                )
                return false
            }
        }
    }

    @Test(arguments: [("hello", 3000), ("records", 300)])
    func everyMutantGivesAMessageOrAProgram(image: String, count: Int) throws {
        let original = try Self.image(image)
        var loaded = 0
        for seed in 1...UInt64(count) where try loads(ELFMutator(original, seed: seed)) { loaded += 1 }
        // A mutator that spares the file, or that nothing survives, tests nothing.
        #expect(loaded > count / 10 && loaded < count * 9 / 10, "\(loaded) of \(count) were loaded")
    }
}
