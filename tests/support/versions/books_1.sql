PRAGMA application_id = 1400139627;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE clients (
    client_id TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, opening_cents INTEGER NOT NULL,
    updated_at TEXT NOT NULL
);
INSERT INTO "clients" VALUES('C1','Shop','a@example.org',NULL,5000,'2026-03-01T12:00:00.000Z');
CREATE TABLE events (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
    entered_at TEXT NOT NULL
);
INSERT INTO "events" VALUES(1,'inventory','P1','{"product_id":"P1","name":"Tea","category":null,"quantity":3,"buy_price":1.1,"sell_price":2.9,"last_movement":null,"expiry_date":null,"batch_no":null,"updated_at":"2026-03-01T12:00:00.000Z"}','2026-03-01T12:00:00.000Z');
INSERT INTO "events" VALUES(2,'clients','C1','{"client_id":"C1","name":"Shop","email":"a@example.org","phone":null,"total_revenue_generated":50.0,"updated_at":"2026-03-01T12:00:00.000Z"}','2026-03-01T12:00:00.000Z');
INSERT INTO "events" VALUES(3,'sales','I1','{"invoice_id":"I1","client_id":"C1","timestamp":"2026-03-01T00:00:00.000Z","total_amount":5.8,"items":[{"product_id":"P1","quantity":2}]}','2026-03-01T12:00:00.000Z');
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id INTEGER NOT NULL REFERENCES events,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    queued_at TEXT NOT NULL, sent_at TEXT, reason TEXT
);
INSERT INTO "outbox" VALUES(1,1,'sent','2026-03-01T12:00:00.000Z','2026-03-01T12:00:00.000Z',NULL);
INSERT INTO "outbox" VALUES(2,2,'failed','2026-03-01T12:00:00.000Z',NULL,'too large');
INSERT INTO "outbox" VALUES(3,3,'waiting','2026-03-01T12:00:00.000Z',NULL,NULL);
CREATE TABLE products (
    product_id TEXT PRIMARY KEY, name TEXT NOT NULL, category TEXT, quantity INTEGER NOT NULL,
    buy_cents INTEGER NOT NULL, sell_cents INTEGER NOT NULL, last_movement TEXT, expiry_date TEXT,
    batch_no TEXT, updated_at TEXT NOT NULL
);
INSERT INTO "products" VALUES('P1','Tea',NULL,3,110,290,NULL,NULL,NULL,'2026-03-01T12:00:00.000Z');
CREATE TABLE sale_items (
    invoice_id TEXT NOT NULL REFERENCES sales, line INTEGER NOT NULL, product_id TEXT NOT NULL,
    quantity INTEGER NOT NULL, PRIMARY KEY (invoice_id, line)
);
INSERT INTO "sale_items" VALUES('I1',1,'P1',2);
CREATE TABLE sales (
    invoice_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, time TEXT NOT NULL, amount_cents INTEGER NOT NULL
);
INSERT INTO "sales" VALUES('I1','C1','2026-03-01T00:00:00.000Z',580);
CREATE TABLE sender (id INTEGER PRIMARY KEY CHECK (id = 1), fault TEXT, since TEXT);
INSERT INTO "sender" VALUES(1,NULL,NULL);
CREATE INDEX products_updated_at ON products (updated_at DESC, product_id);
CREATE INDEX clients_updated_at ON clients (updated_at DESC, client_id);
CREATE INDEX events_entered_at ON events (entered_at);
CREATE INDEX outbox_state ON outbox (state, id);
CREATE INDEX outbox_waiting ON outbox (event_id) WHERE state = 'waiting';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',3);
COMMIT;
