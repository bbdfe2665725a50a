// System calls on the address space. Where memory goes is decided in AddressSpace; what only advises or reports is the
// host's, on ranges that are the guest's.

import CHost
import Glibc

extension SystemCallTable {
    package func addMemoryCalls() {
        addMappingCalls()
        addAdviceCalls()
        addSharedMemoryCalls()
    }

    private func addMappingCalls() {
        call(214, "brk", [.pointer], returns: .pointer) { thread, a in
            Int64(bitPattern: thread.process.memory.setBreak(a.a0))
        }
        let map: [ArgumentKind] = [.pointer, .unsigned, .flags(.protection), .flags(.mapping), .fd, .hex]
        call(222, "mmap", map, returns: .pointer) { thread, a in
            thread.process.memory.map(
                a.a0, a.a1, protection: a.a2, flags: a.a3, descriptor: Int32(truncatingIfNeeded: a.a4), offset: a.a5)
        }
        call(215, "munmap", [.pointer, .unsigned]) { thread, a in thread.process.memory.unmap(a.a0, a.a1) }
        call(226, "mprotect", [.pointer, .unsigned, .flags(.protection)]) { thread, a in
            thread.process.memory.protect(a.a0, a.a1, protection: a.a2)
        }
        call(288, "pkey_mprotect", [.pointer, .unsigned, .flags(.protection), .int]) { thread, a in
            // No keys: only -1 is one.
            guard Int32(truncatingIfNeeded: a.a3) == -1 else { return Errno.EINVAL.result }
            return thread.process.memory.protect(a.a0, a.a1, protection: a.a2)
        }
        refuse(289, "pkey_alloc", .ENOSPC, [.unsigned, .hex])
        refuse(290, "pkey_free", .EINVAL, [.int])
        call(216, "mremap", [.pointer, .unsigned, .unsigned, .flags(.mremap), .pointer], returns: .pointer) { thread, a in
            thread.process.memory.remap(a.a0, a.a1, a.a2, flags: a.a3, target: a.a4)
        }
        refuse(234, "remap_file_pages")
        refuse(453, "map_shadow_stack")
        refuse(462, "mseal")
    }

    private func addAdviceCalls() {
        forward(227, "msync", host: 26, [.pointer, .unsigned, .flags(.msync)])
        forward(228, "mlock", host: 149, [.pointer, .unsigned])
        forward(284, "mlock2", host: 325, [.pointer, .unsigned, .hex])
        forward(229, "munlock", host: 150, [.pointer, .unsigned])
        forward(230, "mlockall", host: 151, [.flags(.mlock)])
        forward(231, "munlockall", host: 152, [])
        forward(232, "mincore", host: 27, [.pointer, .unsigned, .pointer])
        call(233, "madvise", [.pointer, .unsigned, .flags(.madvise)]) { thread, a in
            thread.process.memory.advise(a.a0, a.a1, advice: Int(Int32(truncatingIfNeeded: a.a2)))
        }
        forward(440, "process_madvise", host: 440, [.fd, .structure(.iovec), .unsigned, .int, .hex])
    }

    private func addSharedMemoryCalls() {
        call(196, "shmat", [.int, .pointer, .hex], returns: .pointer) { thread, a in
            thread.process.memory.attach(Int32(truncatingIfNeeded: a.a0), at: a.a1, flags: Int(truncatingIfNeeded: a.a2))
        }
        call(197, "shmdt", [.pointer]) { thread, a in thread.process.memory.detach(a.a0) }
    }
}
