// Run once by the mongo image, in an empty database; again by hand (docs/deployment.md), for other passwords or after an
// update: what is there already is set right. Indexes and roles are those of docs/security.md, so that no program of ours
// may do more than it has to.
const admin = db.getSiblingDB("admin");

function role({role, privileges, roles}) {
  if (admin.getRole(role)) admin.updateRole(role, {privileges, roles});
  else admin.createRole({role, privileges, roles});
}

function user(name, password, roles) {
  if (admin.getUser(name)) admin.updateUser(name, {pwd: password, roles});
  else admin.createUser({user: name, pwd: password, roles});
}

role({
  "role": "healthAnalytics",
  "privileges": [
    {"resource": {"db": "health-metrics", "collection": "healthmetrics"},
     "actions": ["find", "listIndexes"]},
    {"resource": {"db": "health-metrics", "collection": "analytics"},
     "actions": ["find", "insert", "update", "remove", "listIndexes"]}
  ],
  "roles": []
});
role({
  "role": "healthReader",
  "privileges": [
    {"resource": {"db": "health-metrics", "collection": "healthmetrics"},
     "actions": ["find", "listIndexes"]},
    {"resource": {"db": "health-metrics", "collection": "analytics"},
     "actions": ["find", "listIndexes"]}
  ],
  "roles": []
});
role({
  "role": "stockPipeline",
  "privileges": [
    {"resource": {"db": "stock_management", "collection": "sales"},
     "actions": ["find", "insert", "update", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "inventory"},
     "actions": ["find", "insert", "update", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "clients"},
     "actions": ["find", "insert", "update", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "product_totals"},
     "actions": ["find", "insert", "update", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "product_winners"},
     "actions": ["insert", "remove", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "loss_risk_products"},
     "actions": ["insert", "remove", "createIndex"]},
    {"resource": {"db": "stock_management", "collection": "publications"},
     "actions": ["find", "insert", "update"]},
    {"resource": {"db": "stock_management", "collection": "stock_ledger"},
     "actions": ["find", "insert", "update"]}
  ],
  "roles": []
});
role({
  "role": "stockReader",
  "privileges": [
    {"resource": {"db": "stock_management", "collection": "sales"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "inventory"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "clients"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "product_winners"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "loss_risk_products"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "publications"}, "actions": ["find"]},
    {"resource": {"db": "stock_management", "collection": "stock_ledger"}, "actions": ["find"]}
  ],
  "roles": []
});

user("health-analytics", process.env.MONGO_SERVICE_PASSWORD, ["healthAnalytics"]);
user("stock", process.env.MONGO_STOCK_PASSWORD, ["stockPipeline"]);
user("health-reader", process.env.MONGO_READER_PASSWORD, ["healthReader", "stockReader"]);
// Who writes healthmetrics: the backend, or the people that a demo invents.
user("backend", process.env.MONGO_BACKEND_PASSWORD, [{role: "readWrite", db: "health-metrics"}]);

// Last, because documents that are there already may stand against one.
db = db.getSiblingDB("health-metrics");
db.healthmetrics.createIndex({"updatedAt": 1, "_id": 1});
db.healthmetrics.createIndex({"userId": 1, "date": 1}, {"unique": true});
db.analytics.createIndex({"userId": 1, "timeRange": 1, "metricType": 1}, {"name": "analytics_unique_key", "unique": true});
db.analytics.createIndex({"expiresAt": 1}, {"name": "analytics_ttl", "expireAfterSeconds": 0});
