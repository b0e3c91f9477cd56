CREATE TABLE public.user_event_batches (
    query_id uuid NOT NULL,
    batch_id bigint NOT NULL,
    records_in bigint NOT NULL,
    inserted bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected jsonb NOT NULL,
    latency jsonb NOT NULL,
    started_at timestamp with time zone NOT NULL,
    committed_at timestamp with time zone NOT NULL,
    reported boolean DEFAULT false NOT NULL
);
CREATE TABLE public.user_events (
    event_id uuid NOT NULL,
    user_id text NOT NULL,
    product_id text NOT NULL,
    product_name text NOT NULL,
    product_category text NOT NULL,
    event_type text NOT NULL,
    price numeric(10,2),
    event_timestamp timestamp with time zone NOT NULL,
    ingested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT user_events_check CHECK (((event_type = 'purchase'::text) = (price IS NOT NULL))),
    CONSTRAINT user_events_event_type_check CHECK ((event_type = ANY (ARRAY['view'::text, 'purchase'::text]))),
    CONSTRAINT user_events_price_check CHECK ((price >= (0)::numeric)),
    CONSTRAINT user_events_product_category_check CHECK ((product_category <> ''::text)),
    CONSTRAINT user_events_product_id_check CHECK ((product_id <> ''::text)),
    CONSTRAINT user_events_product_name_check CHECK ((product_name <> ''::text)),
    CONSTRAINT user_events_user_id_check CHECK ((user_id <> ''::text))
);
INSERT INTO public.user_event_batches VALUES ('00000000-0000-0000-0000-000000000007', 0, 3, 3, 0, '{}', '[]', '2026-10-01 00:00:00+00', '2026-10-01 00:00:00+00', true);
INSERT INTO public.user_events VALUES ('00000000-0000-0000-0000-000000000000', 'u', 'p', 'n', 'c', 'view', NULL, '2026-10-01 00:00:00+00', '2026-10-01 12:00:00+00');
INSERT INTO public.user_events VALUES ('00000000-0000-0000-0000-000000000001', 'u', 'p', 'n', 'c', 'view', NULL, '2026-10-01 00:00:00+00', '2026-10-01 12:00:00+00');
INSERT INTO public.user_events VALUES ('00000000-0000-0000-0000-000000000002', 'u', 'p', 'n', 'c', 'view', NULL, '2026-10-01 00:00:00+00', '2026-10-01 12:00:00+00');
ALTER TABLE ONLY public.user_event_batches
    ADD CONSTRAINT user_event_batches_pkey PRIMARY KEY (query_id, batch_id);
ALTER TABLE ONLY public.user_events
    ADD CONSTRAINT user_events_pkey PRIMARY KEY (event_id);
CREATE INDEX user_event_batches_committed_at ON public.user_event_batches USING btree (committed_at);
CREATE INDEX user_events_event_timestamp ON public.user_events USING btree (event_timestamp);
CREATE INDEX user_events_ingested_at ON public.user_events USING brin (ingested_at) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX user_events_product_id ON public.user_events USING btree (product_id);
CREATE INDEX user_events_user_id ON public.user_events USING btree (user_id);
