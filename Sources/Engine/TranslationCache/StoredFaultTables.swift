// What is known about places in code that came from the cache, as the cache has it: it is decoded when a fault asks.

import X86Backend

struct StoredFaultTables {
    var deferringCode: [StoredDeferringCode] = []
    var deferredWrites: [StoredDeferredWrite] = []

    mutating func removeAll() {
        deferringCode.removeAll(keepingCapacity: true)
        deferredWrites.removeAll(keepingCapacity: true)
    }

    /// What is deferred at a place in the block's code.
    func deferredWrites(of block: TranslatedBlock, at offset: UInt32) -> ArraySlice<DeferredWrite> {
        let known = deferringCode[block.deferringCode].first { $0.start <= offset && offset < $0.end }
        guard let code = known else { return [] }
        let first = block.firstStoredWrite + Int(code.firstWrite)
        return deferredWrites[first ..< first + Int(code.writeCount)].compactMap { $0.write(of: block.key.address) }[...]
    }
}
