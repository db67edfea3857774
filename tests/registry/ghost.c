/* A library that its user cannot find when it is loaded. */
void ghost(void);
void ghost(void) {}
