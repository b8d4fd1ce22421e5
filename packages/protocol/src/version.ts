/** The product's version; agent, server and command line are released together. */
export const version = "0.1.0";
