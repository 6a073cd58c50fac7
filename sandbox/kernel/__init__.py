"""What the sandbox asks of the kernel, without a library in between: namespaces, Landlock, seccomp."""
