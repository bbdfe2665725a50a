// ioctl. Request numbers and structures of riscv64 are asm-generic, and so are x86-64's: `struct termios`, winsize, block,
// network, tty, loop and file-system requests pass unchanged. A request passes its argument as the kernel's pointer.

extension SystemCallTable {
    package func addTerminalCalls() {
        forward(29, "ioctl", host: 16, [.fd, .flags(.ioctl), .pointer])
        forward(58, "vhangup", host: 153, [])
    }
}
