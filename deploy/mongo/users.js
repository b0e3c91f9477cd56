// Run once by the mongo image, in an empty database: the service's user and one who may only read. Narrower roles for a
// server that holds more than this: docs/security.md.
const users = db.getSiblingDB("admin");
users.createUser({
  user: "health-analytics",
  pwd: process.env.MONGO_SERVICE_PASSWORD,
  roles: [
    { role: "readWrite", db: "health-metrics" },
    { role: "readWrite", db: "stock_management" },
  ],
});
users.createUser({
  user: "health-reader",
  pwd: process.env.MONGO_READER_PASSWORD,
  roles: [
    { role: "read", db: "health-metrics" },
    { role: "read", db: "stock_management" },
  ],
});
