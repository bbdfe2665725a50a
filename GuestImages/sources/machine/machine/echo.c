// Sends back what the serial port receives, by interrupts: letters in upper case, until a digit comes, which becomes the exit status.
#include "../runtime/machine.h"

static volatile int status = -1;

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number != MACHINE_EXTERNAL) return 0;
    u32 source = read32(PLIC + 0x200004);
    while (read8(UART + 5) & 1) {
        char character = (char)read8(UART);
        if (character >= '0' && character <= '9') status = character - '0';
        put_character(character >= 'a' && character <= 'z' ? character - 32 : character);
    }
    write32(PLIC + 0x200004, source);
    return 1;
}

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    interrupt_handler = on_interrupt;
    write8(UART + 2, 7); // with FIFOs, emptied
    write32(PLIC + 4 * 10, 1);
    write32(PLIC + 0x2000, 1 << 10);
    write8(UART + 1, 1);
    csr_set(mie, 1 << MACHINE_EXTERNAL);
    csr_set(mstatus, 8);
    print("echo: ready\n");
    sleep_until(mstatus, 8, status >= 0);
    print("\necho: done\n");
    return status;
}
