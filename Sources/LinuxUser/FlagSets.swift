// Names of the flags and constants that system calls take, for traces.

/// A set of named bits or constants that an argument is made of.
package enum FlagSet: UInt8 {
    case open, access, at, statAt, unlink, rename, mask
    case protection, mapping, madvise, msync, mremap, mlock
    case clone, waitOptions, waitKind, resource, prctl, futex, schedulingPolicy
    case signalAction, signalHow
    case addressFamily, socketType, message, shutdown, socketLevel, socketOption
    case epollControl, epollCreate, eventFD, signalFD, timerFD, inotifyInit, fcntl, ioctl, seek, flock, fallocate, splice
    case clock, timer, timerSet, interval
    case getrandom, memfd, membarrier, mount, umount, closeRange, pipe, descriptor
}

/// A structure behind a pointer that a trace prints by its fields.
package enum StructureKind: UInt8 {
    case timespec, timespecOut, timeval, timevalOut, itimerval, itimerspec
    case stat, statx, statfs, sockaddr, sockaddrOut, iovec, message, pollDescriptors, descriptorSet, epollEvent, epollEvents
    case signalSet, signalAction, signalStack, signalInformation, resourceLimit, resourceLimitOut, resourceUsage
    case uname, sysinfo, waitStatus, descriptorPair, stringVector, cloneArguments, openHow, hwprobe, robustList, intPointer
}
