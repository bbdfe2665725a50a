// The host's floating-point control word, for those who evaluate IR and compare flags.

import CHost

package enum HostFloatState {
    /// The sticky exception flags of MXCSR.
    package static let flags: UInt32 = 0x3f
    /// Rounding mode and sticky flags of the calling thread.
    package static var mxcsr: UInt32 {
        get { mynah_get_mxcsr() }
        set { mynah_set_mxcsr(newValue) }
    }
}
